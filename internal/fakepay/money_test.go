package fakepay_test

import (
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

func amount(cents int64) fakepay.AmountRequest { return fakepay.AmountRequest{AmountCents: cents} }

func TestRefunds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		refund := "/charges/" + b.pay("order", "", "").charge.ID + "/refund"
		part := b.call("POST", refund, "r1", "", amount(1000))
		assert.Equal(t, 201, part.status)
		assert.Equal(t, int64(1000), part.refund.AmountCents)
		again := b.call("POST", refund, "r1", "", amount(1000))
		assert.True(t, again.replayed, "a refund has a key like a charge")
		assert.Equal(t, part.refund.ID, again.refund.ID)

		tooMuch := b.call("POST", refund, "r2", "", amount(3201))
		assert.Equal(t, 400, tooMuch.status)
		assert.Equal(t, "use at most 3200", tooMuch.err.Remedy)
		assert.True(t, b.call("POST", refund, "r3", "reply_lost", nil).lost)
		rest := b.call("POST", refund, "r3", "", nil)
		assert.True(t, rest.replayed, "the reply was lost, the refund not")
		assert.Equal(t, int64(3200), rest.refund.AmountCents, "without an amount: the rest")
		assert.Equal(t, fakepay.CodeState, b.call("POST", refund, "r4", "", amount(1)).err.Code)

		assert.Equal(t, fakepay.Totals{
			Attempts: map[fakepay.Op]int{fakepay.OpCharge: 1, fakepay.OpRefund: 6}, Charges: 1, Refunds: 2, CapturedCents: 4200, RefundedCents: 4200,
		}, b.settled().Totals)
	})
}

func TestRefundsNeverExceedTheCharge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{Latency: fakepay.Latency{Max: time.Second}})
		id := b.pay("order", "", "").charge.ID
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() { b.call("POST", "/charges/"+id+"/refund", fmt.Sprint(i), "duplicate", amount(100)) })
		}
		all.Wait()
		l := b.settled()
		assert.Equal(t, int64(4200), l.Totals.RefundedCents, "50 refunds of 100 on 4200")
		assert.Equal(t, int64(4200), l.Charges[0].RefundedCents)
		assert.Equal(t, 42, l.Totals.Refunds)
	})
}

func TestCaptureAndVoid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		hold := func(reference string) string {
			in := order(reference)
			in.Capture = new(bool)
			held := b.call("POST", "/charges", "", "", in)
			require.Equal(t, 201, held.status)
			assert.Equal(t, fakepay.Authorized, held.charge.Status)
			assert.Zero(t, held.charge.CapturedCents)
			return "/charges/" + held.charge.ID
		}
		captured, voided := hold("captured"), hold("voided")
		assert.Equal(t, fakepay.CodeState, b.call("POST", captured+"/refund", "", "", nil).err.Code, "there is nothing to give back yet")
		assert.Equal(t, 400, b.call("POST", captured+"/capture", "", "", amount(4201)).status)
		assert.Equal(t, int64(4000), b.call("POST", captured+"/capture", "c", "", amount(4000)).charge.CapturedCents)
		assert.True(t, b.call("POST", captured+"/capture", "c", "", amount(4000)).replayed)
		assert.Equal(t, fakepay.CodeState, b.call("POST", captured+"/capture", "", "", nil).err.Code, "once only")
		assert.Equal(t, fakepay.CodeState, b.call("POST", captured+"/void", "", "", nil).err.Code)
		assert.Equal(t, 400, b.call("POST", captured+"/refund", "", "", amount(4001)).status, "no more than was captured")

		assert.Equal(t, 400, b.call("POST", voided+"/void", "", "", amount(5)).status)
		assert.Equal(t, fakepay.Voided, b.call("POST", voided+"/void", "", "", nil).charge.Status)
		assert.Equal(t, fakepay.CodeState, b.call("POST", voided+"/capture", "", "", nil).err.Code)
		for _, op := range []string{"/capture", "/refund", "/void"} {
			assert.Equal(t, 404, b.call("POST", "/charges/ch_nobody"+op, "", "", nil).status)
		}
		l := b.settled()
		assert.Equal(t, 1, l.Totals.Voids)
		assert.Equal(t, int64(4000), l.Totals.NetCents)
		assert.Len(t, l.For("voided").Voids, 1)
		assert.Empty(t, l.For("captured").Voids)
		assert.Zero(t, l.For("voided").Totals.NetCents)
	})
}

func TestSources(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		for source, code := range map[string]string{
			fakepay.SourceDeclined: fakepay.CodeDeclined, fakepay.SourceInsufficientFunds: fakepay.CodeInsufficientFunds, fakepay.SourceExpiredCard: fakepay.CodeExpiredCard,
		} {
			in := order(source)
			in.Source = source
			s := b.call("POST", "/charges", "", "", in)
			assert.Equal(t, 402, s.status)
			assert.Equal(t, code, s.err.Code)
			found := b.call("GET", "/charges/"+s.err.ChargeID, "", "", nil).charge
			assert.Equal(t, fakepay.Declined, found.Status, "a declined charge can be looked up")
			assert.Equal(t, code, found.Code)
		}
		l := b.settled()
		assert.Equal(t, 3, l.Totals.Declined)
		assert.Zero(t, l.Totals.CapturedCents)
		assert.False(t, l.Attempts[0].Effect, "a decline moves nothing")
	})
}

func TestAcceptedThenDecided(t *testing.T) {
	for _, row := range []struct {
		name, source, fault string
		want                fakepay.Status
		after               time.Duration
	}{
		{"by source", fakepay.SourceAccepted, "", fakepay.Succeeded, 20 * time.Second},
		{"declined by source", fakepay.SourceAcceptedDeclined, "", fakepay.Declined, 20 * time.Second},
		{"by fault", "tok_visa", "accept;delay=5s", fakepay.Succeeded, 5 * time.Second},
		{"declined by fault", "tok_visa", "accept;code=card_declined", fakepay.Declined, 20 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := open(t, fakepay.Config{DecideAfter: 20 * time.Second})
				in := order("order")
				in.Source = row.source
				s := b.call("POST", "/charges", "key", row.fault, in)
				assert.Equal(t, 202, s.status)
				assert.Equal(t, fakepay.Processing, s.charge.Status)
				assert.Equal(t, 1, b.srv.Ledger().Totals.Processing)
				assert.Zero(t, b.srv.Ledger().Totals.CapturedCents)
				assert.Equal(t, fakepay.CodeState, b.call("POST", "/charges/"+s.charge.ID+"/refund", "", "", nil).err.Code)
				time.Sleep(row.after - 1)
				assert.Equal(t, fakepay.Processing, b.srv.Ledger().Charges[0].Status)
				assert.Equal(t, row.want, b.settled().Charges[0].Status)
				assert.Equal(t, row.after, b.srv.Now())
				assert.Equal(t, 202, b.call("POST", "/charges", "key", "", in).status, "a replay says what was said then")
			})
		})
	}
}

func TestDecideByHand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		in := order("order")
		in.Capture = new(bool)
		first := b.call("POST", "/charges", "", "accept", in).charge.ID
		second := b.pay("order", "", "accept;delay=1h").charge.ID
		b.settled() // the second is decided by time, the first by nobody
		assert.Equal(t, 1, b.srv.Ledger().Totals.Processing)
		require.NoError(t, b.srv.Decide(first, ""))
		assert.Equal(t, fakepay.Authorized, b.srv.Ledger().Charges[0].Status, "it was not to be captured")
		var refused *fakepay.Error
		require.ErrorAs(t, b.srv.Decide(second, ""), &refused)
		assert.Equal(t, fakepay.CodeState, refused.Code)
		require.ErrorAs(t, b.srv.Decide("ch_nobody", ""), &refused)
		assert.Equal(t, fakepay.CodeNotFound, refused.Code)

		third := b.pay("order", "", "accept;delay=1h").charge.ID
		assert.Equal(t, fakepay.Declined, b.call("POST", "/_charges/"+third+"/decide", "", "", `{"code":"card_declined"}`).charge.Status)
		assert.Equal(t, 400, b.call("POST", "/_charges/"+third+"/decide", "", "", nil).status)
		assert.Equal(t, 404, b.call("POST", "/_charges/ch_nobody/decide", "", "", nil).status)
		assert.Equal(t, fakepay.Declined, b.settled().Charges[2].Status, "the first decision stands")
	})
}

func TestList(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		var ids []string
		var dates []time.Time
		for i := range 25 {
			c := b.pay(fmt.Sprint("order-", i), "", "").charge
			ids, dates = append(ids, c.ID), append(dates, c.Created)
			time.Sleep(time.Minute)
		}
		list := func(query url.Values) (got []string, more bool) {
			s := b.call("GET", "/charges?"+query.Encode(), "", "", nil)
			require.Equal(t, 200, s.status, s.body)
			for _, c := range s.list.Charges {
				got = append(got, c.ID)
			}
			return got, s.list.HasMore
		}
		page, more := list(nil)
		assert.Equal(t, ids[:20], page)
		assert.True(t, more)
		page, more = list(url.Values{"after": {page[19]}})
		assert.Equal(t, ids[20:], page)
		assert.False(t, more)
		page, more = list(url.Values{"limit": {"25"}})
		assert.Equal(t, ids, page)
		assert.False(t, more, "a full page that is the last")
		page, more = list(url.Values{"from": {dates[3].Format(time.RFC3339Nano)}, "to": {dates[7].Format(time.RFC3339Nano)}, "limit": {"3"}})
		assert.Equal(t, ids[3:6], page, "from belongs to the range,")
		assert.True(t, more)
		page, more = list(url.Values{"from": {dates[3].Format(time.RFC3339Nano)}, "to": {dates[7].Format(time.RFC3339Nano)}, "after": {ids[5]}})
		assert.Equal(t, ids[6:7], page, "to does not")
		assert.False(t, more)
	})
}
