// Package buyer is a customer without a face: it uses the shop's pages as a browser does.
package buyer

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Buyer is one customer. It is not safe for concurrent use.
type Buyer struct {
	shop  string // its URL
	email string
	http  *http.Client
}

// New returns a customer of the shop at a URL. They all share a transport.
func New(shop, email string, transport http.RoundTripper) (*Buyer, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &Buyer{shop: shop, email: email, http: &http.Client{Jar: jar, Transport: transport}}, nil
}

// Form is a checkout that was filled in: sent twice, it is the same payment.
type Form url.Values

var hidden = regexp.MustCompile(`<input type="hidden" name="([a-z]+)" value="([^"]*)">`)

// Fill puts an item into the basket, unless something is in it, and fills in the checkout's form.
func (b *Buyer) Fill(ctx context.Context, item string) (Form, error) {
	_, page, err := b.load(ctx, http.MethodGet, "/checkout", nil)
	if err != nil || !strings.Contains(page, `action="/checkout"`) {
		if _, _, err := b.load(ctx, http.MethodPost, "/basket", url.Values{"item": {item}}); err != nil {
			return nil, err
		}
		if _, page, err = b.load(ctx, http.MethodGet, "/checkout", nil); err != nil {
			return nil, err
		}
	}
	form := Form{"email": {b.email}, "card": {"tok_visa"}}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		form[m[1]] = []string{html.UnescapeString(m[2])}
	}
	if form["payment"] == nil {
		return nil, errors.New("buyer: the checkout has no form")
	}
	return form, nil
}

// Send sends the form, and returns the order that it led to.
func (b *Buyer) Send(ctx context.Context, form Form) (order string, err error) {
	path, _, err := b.load(ctx, http.MethodPost, "/checkout", url.Values(form))
	if err != nil {
		return "", err
	}
	order, is := strings.CutPrefix(path, "/orders/")
	if !is {
		return "", fmt.Errorf("buyer: the form led to %s", path)
	}
	return order, nil
}

// Order orders an item at the naive shop, which has no basket.
func (b *Buyer) Order(ctx context.Context, item string) (order string, err error) {
	path, _, err := b.load(ctx, http.MethodPost, "/orders", url.Values{"item": {item}, "email": {b.email}})
	return strings.TrimPrefix(path, "/orders/"), err
}

// Pay presses the button of an order at the naive shop, and says how the order stands then, in the word of the page that comes.
func (b *Buyer) Pay(ctx context.Context, order string) (word string, err error) {
	return b.read(ctx, http.MethodPost, "/orders/"+order+"/pay", url.Values{"card": {"tok_visa"}})
}

var status = regexp.MustCompile(`role="status" data-status="([a-z]+)"`)

// Look says how an order stands, in the word of its page.
func (b *Buyer) Look(ctx context.Context, order string) (word string, err error) {
	return b.read(ctx, http.MethodGet, "/orders/"+order, nil)
}

func (b *Buyer) read(ctx context.Context, method, path string, form url.Values) (word string, err error) {
	_, page, err := b.load(ctx, method, path, form)
	if err != nil {
		return "", err
	}
	if m := status.FindStringSubmatch(page); m != nil {
		return m[1], nil
	}
	return "", errors.New("buyer: the order's page does not say how it stands")
}

// Await looks again and again until the order's page says so.
func (b *Buyer) Await(ctx context.Context, order, word string, every time.Duration) error {
	for {
		if now, err := b.Look(ctx, order); err == nil && now == word {
			return nil
		}
		if err := Pause(ctx, every); err != nil {
			return fmt.Errorf("buyer: %s is never %s: %w", order, word, err)
		}
	}
}

// Pause waits.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const maxPage = 1 << 20

// load sends a request, follows where it leads, and returns the page that it led to.
func (b *Buyer) load(ctx context.Context, method, path string, form url.Values) (at, page string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, b.shop+path, strings.NewReader(form.Encode()))
	if err != nil {
		return "", "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := b.http.Do(req)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	if err != nil {
		return "", "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("buyer: %s %s was answered with %s", method, path, res.Status)
	}
	return res.Request.URL.Path, string(body), nil
}
