package bank_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
)

const lamp = "order-1"

// patience is how long a test waits for something to happen: on a busy machine, long.
const patience = 2 * time.Minute

func open(t *testing.T, faults ...fakepay.Fault) (*fakepay.Server, *bank.Client) {
	t.Helper()
	return openWith(t, fakepay.Config{Scripts: map[string][]fakepay.Fault{lamp: faults}})
}

func openWith(t *testing.T, config fakepay.Config) (*fakepay.Server, *bank.Client) {
	t.Helper()
	provider, err := fakepay.New(config)
	require.NoError(t, err)
	server := httptest.NewServer(provider)
	client := bank.New(server.URL)
	t.Cleanup(func() {
		ctx, cancel := soon()
		defer cancel()
		client.Close()
		assert.NoError(t, provider.Close(ctx))
		server.Close()
	})
	return provider, client
}

// soon is for cleaning up, when a test's own context has ended.
func soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func wrap(t *testing.T, c *bank.Client) *idempotency.Wrapper[bank.Payment, bank.Receipt] {
	t.Helper()
	return wrapSend(t, c.Charge)
}

func wrapSend(t *testing.T, send func(context.Context, idempotency.Attempt, bank.Payment) (bank.Receipt, error)) *idempotency.Wrapper[bank.Payment, bank.Receipt] {
	t.Helper()
	charges, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[bank.Payment, bank.Receipt]{
		Name: "charge", Send: send, Timeout: patience, Retry: retry.Policy{Attempts: 1},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := soon()
		defer cancel()
		assert.NoError(t, charges.Close(ctx))
	})
	return charges
}

func payment(card string) bank.Payment {
	return bank.Payment{Order: lamp, Cents: 4990, Currency: "eur", Card: card}
}

// What a reply means is judged by what Do makes of it, once.
func TestRepliesMeanWhatIsCertain(t *testing.T) {
	for _, c := range []struct {
		name  string
		card  string
		fault fakepay.Fault
		want  func(error) bool
	}{
		{"charged", "tok_visa", fakepay.Fault{}, func(err error) bool { return err == nil }},
		{"declined", fakepay.SourceExpiredCard, fakepay.Fault{}, isRejection},
		{"malformed", "", fakepay.Fault{}, isRejection},
		{"accepted", fakepay.SourceAccepted, fakepay.Fault{}, isPending},
		{"rate limited", "tok_visa", fakepay.Fault{Kind: fakepay.RateLimited}, isNotSent},
		{"key in use", "tok_visa", fakepay.Fault{Kind: fakepay.KeyInUse}, isUnknown},
		{"500", "tok_visa", fakepay.Fault{Kind: fakepay.ErrorBefore}, isUnknown},
		{"500 after the effect", "tok_visa", fakepay.Fault{Kind: fakepay.ErrorAfter}, isUnknown},
		{"503", "tok_visa", fakepay.Fault{Kind: fakepay.Unavailable}, isUnknown},
		{"no reply", "tok_visa", fakepay.Fault{Kind: fakepay.ReplyLost}, isUnknown},
		{"no request", "tok_visa", fakepay.Fault{Kind: fakepay.Reset}, isUnknown},
		{"silence", "tok_visa", fakepay.Fault{Kind: fakepay.ReplyLost, Cut: fakepay.CutHang}, isUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			charged := make(chan struct{}, 1)
			provider, client := openWith(t, fakepay.Config{
				Scripts: map[string][]fakepay.Fault{lamp: {c.fault}}, OnEvent: func(fakepay.Event) { charged <- struct{}{} },
			})
			send := client.Charge
			if c.fault.Cut == fakepay.CutHang { // nobody would wait that long
				send = func(ctx context.Context, a idempotency.Attempt, p bank.Payment) (bank.Receipt, error) {
					ctx, cancel := context.WithCancel(ctx)
					go func() {
						<-charged
						cancel()
					}()
					return client.Charge(ctx, a, p)
				}
			}
			res, err := wrapSend(t, send).Do(t.Context(), "k", payment(c.card))
			assert.True(t, c.want(err), "got %v", err)
			assert.Equal(t, 1, provider.Ledger().Totals.Attempts[fakepay.OpCharge], "one attempt is one request, net/http must not send it again")
			if err == nil {
				assert.Equal(t, int64(4990), res.Value.Cents)
				assert.NotEmpty(t, res.Value.ChargeID)
			}
		})
	}
}

func isRejection(err error) bool {
	var no *idempotency.Rejection
	return errors.As(err, &no)
}

func isPending(err error) bool {
	var pending *idempotency.PendingError
	return errors.As(err, &pending)
}

func isUnknown(err error) bool {
	var unknown *idempotency.UnknownError
	return errors.As(err, &unknown)
}

func isNotSent(err error) bool { return errors.Is(err, idempotency.ErrNotSent) }

// A kept-alive connection that dies under a POST with an Idempotency-Key makes net/http send it again, unless it cannot.
func TestNetHTTPSendsNothingTwice(t *testing.T) {
	provider, client := open(t, fakepay.Fault{}, fakepay.Fault{Kind: fakepay.Reset})
	charges := wrap(t, client)
	_, err := charges.Do(t.Context(), "first", payment("tok_visa"))
	require.NoError(t, err)
	_, err = charges.Do(t.Context(), "second", payment("tok_visa")) // on the same connection
	require.True(t, isUnknown(err), "got %v", err)
	assert.Equal(t, 2, provider.Ledger().Totals.Attempts[fakepay.OpCharge])
}

func TestFindCharge(t *testing.T) {
	provider, client := open(t, fakepay.Fault{Kind: fakepay.ReplyLost})
	a := idempotency.Attempt{Key: "provider-key"}
	find := func() idempotency.Verdict[bank.Receipt] {
		verdict, err := client.FindCharge(t.Context(), a, payment("tok_visa"))
		require.NoError(t, err)
		return verdict
	}
	assert.Equal(t, idempotency.DidNotHappen[bank.Receipt](), find(), "before it was sent")
	_, err := client.Charge(t.Context(), a, payment("tok_visa"))
	require.Error(t, err, "the reply is lost")
	id := provider.Ledger().Charges[0].Intent
	assert.Equal(t, idempotency.Happened(bank.Receipt{ChargeID: id, Cents: 4990}), find(), "by key")
	a = idempotency.Attempt{Key: "unheard-of", Ref: id}
	assert.Equal(t, idempotency.Happened(bank.Receipt{ChargeID: id, Cents: 4990}), find(), "by the provider's id")
}

// Stripe's search may be an hour behind. What it does not know yet must not be taken for what did not happen.
func TestFindChargeThatIsNotIndexed(t *testing.T) {
	_, client := openWith(t, fakepay.Config{SearchLag: time.Hour})
	a := idempotency.Attempt{Key: "provider-key", ID: "payment-1", FirstSent: time.Now()}
	paid, err := client.Charge(t.Context(), a, payment("tok_visa"))
	require.NoError(t, err)
	verdict, err := client.FindCharge(t.Context(), a, payment("tok_visa"))
	require.NoError(t, err)
	assert.Equal(t, idempotency.Happened(paid), verdict)
	verdict, said, err := client.FindByOrder(t.Context(), lamp, "payment-1")
	require.NoError(t, err)
	assert.Equal(t, idempotency.Happened(paid), verdict, said)
	a.Key = "another"
	verdict, err = client.FindCharge(t.Context(), a, payment("tok_visa"))
	require.NoError(t, err)
	assert.Equal(t, idempotency.DidNotHappen[bank.Receipt](), verdict)
}

// A charge that was given back says so, as does one that was released.
func TestFindReverse(t *testing.T) {
	_, client := open(t)
	for _, hold := range []bool{false, true} {
		p := payment("tok_visa")
		p.Hold = hold
		made, err := client.Charge(t.Context(), idempotency.Attempt{Key: idempotency.NewKey()}, p)
		require.NoError(t, err)
		later := bank.Later{Order: lamp, Receipt: made}
		verdict, err := client.FindReverse(t.Context(), idempotency.Attempt{}, later)
		require.NoError(t, err)
		assert.Equal(t, idempotency.DidNotHappen[bank.Receipt](), verdict)
		_, err = client.Reverse(t.Context(), idempotency.Attempt{Key: idempotency.NewKey()}, later)
		require.NoError(t, err)
		verdict, err = client.FindReverse(t.Context(), idempotency.Attempt{}, later)
		require.NoError(t, err)
		assert.Equal(t, idempotency.Happened(made), verdict)
	}
}

// The books of the provider, page by page.
func TestList(t *testing.T) {
	_, client := open(t)
	const payments = 103
	for range payments {
		a := idempotency.Attempt{Key: idempotency.NewKey(), Scope: "ada", ID: "payment"}
		_, err := client.Charge(t.Context(), a, payment("tok_visa"))
		require.NoError(t, err)
	}
	_, err := client.Charge(t.Context(), idempotency.Attempt{Key: "declined"}, payment(fakepay.SourceExpiredCard))
	require.Error(t, err)
	happened := 0
	for entry, err := range client.List(t.Context()) {
		require.NoError(t, err)
		assert.Equal(t, entry.ProviderKey != "declined", entry.Happened)
		if entry.Happened {
			assert.Equal(t, [2]string{"ada", "payment"}, [2]string{entry.Scope, entry.Key})
			happened++
		}
	}
	assert.Equal(t, payments, happened)
}

func TestFindChargeThatWasDeclinedOrIsNotDecided(t *testing.T) {
	for card, want := range map[string]idempotency.Verdict[bank.Receipt]{
		fakepay.SourceExpiredCard: idempotency.Declined[bank.Receipt](fakepay.CodeExpiredCard, nil),
		fakepay.SourceAccepted:    idempotency.StillPending[bank.Receipt](5 * time.Second),
	} {
		_, client := open(t)
		a := idempotency.Attempt{Key: "provider-key"}
		_, err := client.Charge(t.Context(), a, payment(card))
		require.Error(t, err, card)
		verdict, err := client.FindCharge(t.Context(), a, payment(card))
		require.NoError(t, err)
		assert.Equal(t, want, verdict, card)
	}
}

// What was reserved is taken, still reserved, or released: one of these the bank can always say.
func TestFindCapture(t *testing.T) {
	_, client := open(t)
	hold := payment("tok_visa")
	hold.Hold = true
	reserve := func(key string) bank.Later {
		held, err := client.Charge(t.Context(), idempotency.Attempt{Key: key}, hold)
		require.NoError(t, err)
		require.True(t, held.Held)
		return bank.Later{Receipt: held}
	}
	find := func(l bank.Later) idempotency.Verdict[bank.Receipt] {
		verdict, err := client.FindCapture(t.Context(), idempotency.Attempt{}, l)
		require.NoError(t, err)
		return verdict
	}
	taken, released := reserve("a"), reserve("b")
	assert.Equal(t, idempotency.DidNotHappen[bank.Receipt](), find(taken))
	receipt, err := client.Capture(t.Context(), idempotency.Attempt{Key: "c"}, taken)
	require.NoError(t, err)
	assert.Equal(t, idempotency.Happened(receipt), find(taken))
	assert.False(t, receipt.Held)
	_, err = client.Reverse(t.Context(), idempotency.Attempt{Key: "d"}, released)
	require.NoError(t, err)
	assert.Equal(t, idempotency.Declined[bank.Receipt]("canceled", nil), find(released))
	_, err = client.FindCapture(t.Context(), idempotency.Attempt{}, bank.Later{Receipt: bank.Receipt{ChargeID: "pi_nobody"}})
	require.Error(t, err)
}

// Whatever a proxy in between answers, it says nothing about money. The request before it was taken and charged for.
func TestForeignAnswersAreUnknown(t *testing.T) {
	for _, status := range []int{201, 202, 400, 402, 403, 404, 408, 413, 422, 429, 502} {
		for _, body := range []string{"<h1>nginx</h1>", "{}", `{"error":{}}`, `{"error":"no"}`, `{"error":{"code":"quota","message":"no"}}`, ""} {
			_, err := wrap(t, answering(t, status, body)).Do(t.Context(), "k", payment("tok_visa"))
			assert.True(t, isUnknown(err), "%d %s: got %v", status, body, err)
		}
	}
}

func TestForeignAnswersFindNothing(t *testing.T) {
	for _, status := range []int{200, 404, 502} {
		for _, body := range []string{"<h1>nginx</h1>", "{}", `{"id":"somebody else's"}`, ""} {
			client := answering(t, status, body)
			for _, a := range []idempotency.Attempt{{Key: "k"}, {Key: "k", Ref: "ch_1"}} {
				verdict, err := client.FindCharge(t.Context(), a, payment("tok_visa"))
				require.Error(t, err, "%d %s", status, body)
				assert.Equal(t, idempotency.DontKnow[bank.Receipt](), verdict, "%d %s", status, body)
			}
		}
	}
}

// The first request is charged for and never answered; then a load balancer refuses with a page of its own. A refusal that
// was believed would let the customer pay again, with a new key.
func TestForeignRefusalAfterALostReply(t *testing.T) {
	requests := 0
	client := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		if requests++; requests == 1 {
			panic(http.ErrAbortHandler)
		}
		http.Error(w, "<html>400 Bad Request<hr>nginx</html>", http.StatusBadRequest)
	})
	charges, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[bank.Payment, bank.Receipt]{
		Name: "charge", Namespace: "test", Send: client.Charge, KeyLife: bank.KeyLife, KeyedErrors: bank.StoredByKey,
		Retry: retry.Policy{Initial: time.Millisecond, Max: 10 * time.Millisecond},
	})
	require.NoError(t, err)
	_, err = charges.Do(t.Context(), "k", payment("tok_visa"))
	assert.True(t, isUnknown(err), "got %v", err)
	assert.Greater(t, requests, 1, "the same key was tried again")
	ctx, cancel := soon()
	defer cancel()
	require.NoError(t, charges.Close(ctx))
}

// StoredByKey says no more than what the provider does: it stores the listed declines, and nothing else is listed.
func TestStoredByKey(t *testing.T) {
	for card, code := range map[string]string{
		fakepay.SourceDeclined:          "generic_decline",
		fakepay.SourceInsufficientFunds: fakepay.CodeInsufficientFunds,
		fakepay.SourceExpiredCard:       fakepay.CodeExpiredCard,
	} {
		assert.True(t, bank.StoredByKey(&idempotency.Rejection{Code: code}), code)
		provider, client := open(t)
		for range 2 {
			_, err := client.Charge(t.Context(), idempotency.Attempt{Key: "provider-key"}, payment(card))
			require.Error(t, err, code)
		}
		attempts := provider.Ledger().Attempts
		require.Len(t, attempts, 2)
		assert.True(t, attempts[1].Replayed, code)
		assert.Equal(t, code, attempts[1].Code)
	}
	for _, code := range []string{
		"", "http_400", "new_code", "parameter_missing", "payment_intent_unexpected_state", "resource_missing", "idempotency_key_in_use",
		"idempotency_error", "rate_limit", "api_error", "invalid_request_error",
	} {
		assert.False(t, bank.StoredByKey(&idempotency.Rejection{Code: code}), code)
	}
}

func answering(t *testing.T, status int, body string) *bank.Client {
	t.Helper()
	return serving(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, err := io.WriteString(w, body)
		assert.NoError(t, err)
	})
}

func serving(t *testing.T, h http.HandlerFunc) *bank.Client {
	t.Helper()
	server := httptest.NewServer(h)
	client := bank.New(server.URL)
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client
}
