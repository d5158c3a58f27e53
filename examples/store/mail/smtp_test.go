package mail_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
)

func sink(t *testing.T) (*mail.SMTP, *mail.Mailbox) {
	t.Helper()
	box := mail.NewMailbox()
	s, err := mail.ListenSMTP("127.0.0.1:0", box)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	sender, err := mail.NewSMTP(s.Address)
	require.NoError(t, err)
	return sender, box
}

// A message arrives as it was sent, and a second copy of it is one message: its Message-ID is made from the key.
func TestOverSMTP(t *testing.T) {
	t.Parallel()
	sender, box := sink(t)
	m := mail.Message{
		ID: "key-1", To: "ada@example.com", Subject: "Schön: your parcel", Status: "shipped",
		Text: "€49.90, once.\n" + strings.Repeat("A long line. ", 20) + "\n.\nThe end.",
	}
	for range 3 {
		require.NoError(t, sender.Send(t.Context(), m))
	}
	other := m
	other.ID = "key-2"
	require.NoError(t, sender.Send(t.Context(), other))

	got := box.Messages()
	require.Len(t, got, 2)
	assert.Equal(t, "key-2@stillwater.example", got[0].ID, "the youngest first")
	assert.Equal(t, "key-1@stillwater.example", got[1].ID)
	assert.Equal(t, 2, got[1].Copies)
	for _, r := range got {
		assert.Equal(t, mail.Email, r.Channel)
		assert.Equal(t, "ada@example.com", r.To)
		assert.Equal(t, m.Subject, r.Subject)
		assert.Equal(t, "shipped", r.Status)
		assert.Equal(t, m.Text, strings.ReplaceAll(r.Text, "\r\n", "\n"))
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	box := mail.NewMailbox()
	require.NoError(t, mail.Texts{Mailbox: box}.Send(t.Context(), mail.Message{ID: "1", Channel: mail.Text, To: "+43 1", Text: "hello"}))
	require.Len(t, box.Messages(), 1)
	assert.Equal(t, mail.Text, box.Messages()[0].Channel)
}

// rejected says whether a message that cannot be sent is refused for good, in steadfast's eyes.
func rejected(t *testing.T, sender mail.Sender, to string) bool {
	t.Helper()
	calls, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[mail.Message, struct{}]{
		Name: "mail", Harmless: true, Retry: retry.Policy{Attempts: 1},
		Send: func(ctx context.Context, _ idempotency.Attempt, m mail.Message) (struct{}, error) {
			return struct{}{}, sender.Send(ctx, m)
		},
	})
	require.NoError(t, err)
	_, err = calls.Do(t.Context(), "1", mail.Message{ID: "1", To: to})
	require.Error(t, err)
	var no *idempotency.Rejection
	return errors.As(err, &no)
}

// strict is a mail server that refuses readers.
type strict struct{ code int }

func (s strict) NewSession(*smtp.Conn) (smtp.Session, error) { return strictSession(s), nil }
func (strictSession) Reset()                                 {}
func (strictSession) Logout() error                          { return nil }
func (strictSession) Mail(string, *smtp.MailOptions) error   { return nil }
func (strictSession) Data(io.Reader) error                   { return nil }
func (s strictSession) Rcpt(string, *smtp.RcptOptions) error {
	return &smtp.SMTPError{Code: s.code, EnhancedCode: smtp.EnhancedCode{s.code / 100, 1, 1}, Message: "no"}
}

type strictSession struct{ code int }

// 5xx is for good, 4xx is not: the first is a rejection, the second may be tried again.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for code, forGood := range map[int]bool{550: true, 451: false} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server := smtp.NewServer(strict{code})
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		sender, err := mail.NewSMTP(listener.Addr().String())
		require.NoError(t, err)
		assert.Equal(t, forGood, rejected(t, sender, "ada@example.com"), code)
		require.NoError(t, server.Close())
		_ = listener.Close() // closed already, if it was served
		assert.NoError(t, <-served, "closed, after it had served")
	}
	sender, _ := sink(t)
	assert.True(t, rejected(t, sender, "nobody"), "an address that is none")
}

func TestNobodyAtHome(t *testing.T) {
	t.Parallel()
	sender, err := mail.NewSMTP("127.0.0.1:1")
	require.NoError(t, err)
	assert.False(t, rejected(t, sender, "ada@example.com"))
	for _, address := range []string{"", "mail", "mail:smtp", ":"} {
		_, err := mail.NewSMTP(address)
		assert.Error(t, err, address)
	}
}
