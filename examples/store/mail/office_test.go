package mail_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/mail"
)

func TestACopyIsThrownAway(t *testing.T) {
	delivered := 0
	o := mail.New(0, func(mail.Message) { delivered++ })
	for range 2 {
		require.NoError(t, o.Send(t.Context(), mail.Message{ID: "m1", To: "ada", Subject: "hello"}))
	}
	require.NoError(t, o.Send(t.Context(), mail.Message{ID: "m2", To: "ada", Subject: "again"}))
	inbox := o.Inbox("ada")
	require.Len(t, inbox, 2)
	assert.Equal(t, "hello", inbox[0].Subject)
	assert.Equal(t, 2, delivered)
	assert.Empty(t, o.Inbox("bob"))
}

func TestWithoutAnIDEveryCopyArrives(t *testing.T) {
	o := mail.New(0, nil)
	for range 2 {
		require.NoError(t, o.Send(t.Context(), mail.Message{To: "ada"}))
	}
	assert.Len(t, o.Inbox("ada"), 2)
}

func TestGivenUpInTime(t *testing.T) {
	o := mail.New(time.Hour, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, o.Send(ctx, mail.Message{To: "ada"}), context.Canceled)
	assert.Empty(t, o.Inbox("ada"))
}
