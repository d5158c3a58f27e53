package naive_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/naive"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// A shop that keeps its orders in a database knows them after its process has ended, as far as it came to write them down.
func TestKeepIn(t *testing.T) {
	t.Parallel()
	provider, err := fakepay.New(fakepay.Config{Scripts: map[string][]fakepay.Fault{"order-2": {{Kind: fakepay.Decline}}}})
	require.NoError(t, err)
	bank := httptest.NewServer(provider)
	defer bank.Close()
	depot, office, file := warehouse.New(0, nil), mail.New(0, nil), filepath.Join(t.TempDir(), "shop.db")

	client := &http.Client{Timeout: time.Minute}
	in := func(do func(send func(method, path string) string)) {
		db, err := database.Open(t.Context(), file)
		require.NoError(t, err)
		defer func() { assert.NoError(t, db.Close()) }()
		s := naive.New(naive.Config{BankURL: bank.URL, Warehouse: depot, Mail: office, Timeout: time.Minute})
		defer s.Close()
		require.NoError(t, s.KeepIn(t.Context(), db))
		server := httptest.NewServer(s.Handler())
		defer server.Close()
		do(func(method, path string) string {
			form := url.Values{"item": {"lamp"}, "email": {"ada@example.com"}, "card": {"tok_visa"}}
			req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(form.Encode()))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			res, err := client.Do(req)
			require.NoError(t, err)
			defer func() { assert.NoError(t, res.Body.Close()) }()
			page, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			return res.Request.URL.Path + " " + string(page)
		})
	}
	in(func(send func(method, path string) string) {
		assert.Contains(t, send(http.MethodPost, "/orders"), "/orders/order-1 ")
		assert.Contains(t, send(http.MethodPost, "/orders/order-1/pay"), "/orders/order-1/thanks ")
		assert.Contains(t, send(http.MethodPost, "/orders"), "/orders/order-2 ")
		assert.Contains(t, send(http.MethodPost, "/orders/order-2/pay"), `data-status="declined"`)
		assert.Contains(t, send(http.MethodPost, "/orders"), "/orders/order-3 ")
	})
	in(func(send func(method, path string) string) {
		for order, says := range map[string]string{"order-1": "paid", "order-2": "declined", "order-3": "open"} {
			assert.Contains(t, send(http.MethodGet, "/orders/"+order), `data-status="`+says+`"`, order)
		}
		assert.Contains(t, send(http.MethodGet, "/orders/order-1/thanks"), `data-status="paid"`)
		assert.Contains(t, send(http.MethodPost, "/orders"), "/orders/order-4 ")
	})
	assert.Len(t, office.Inbox("ada@example.com"), 1, "it was confirmed before")
	assert.Equal(t, 1, depot.Parcels("order-1"))
}
