package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWebhookSettlesWhatIsUnknown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer // written to by one at a time: each line is caused by the one before
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	want := `the customer reads: we are checking your payment, please do not pay again
the webhook says payment_intent.succeeded
ada's payment-1 is succeeded: the customer is told, the goods are sent
asked again: paid, replayed: true; the bank has seen 1 request and made 1 charge
`
	if out.String() != want {
		t.Errorf("it said\n%s\nand should say\n%s", out.String(), want)
	}
}

func TestWebhookRefusesWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"type":"payment_intent.succeeded"}`))
	req.Header.Set("Stripe-Signature", "t=1,v1=00")
	w := httptest.NewRecorder()
	hook(nil, nil).ServeHTTP(w, req)
	if w.Code != http.StatusBadRequest {
		t.Errorf("answered with %d, and should be refused", w.Code)
	}
}
