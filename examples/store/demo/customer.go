package demo

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

const address = "ada@example.com"

// customer is somebody with a browser. The same one visits both shops.
type customer struct {
	habits
	pace pace
	line *timeline
	shop string // its URL
	http *http.Client

	mayFail func() bool // whether the shop was seen to fail altogether, so that it may do so
}

func newCustomer(h habits, p pace, line *timeline, shop string) (*customer, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &customer{
		habits: h, pace: p, line: line, shop: shop,
		http:    &http.Client{Jar: jar, Transport: &http.Transport{}},
		mayFail: func() bool { return false },
	}, nil
}

// buy orders something, pays for it, and looks at the page for as long as the customer's patience lasts.
func (c *customer) buy(ctx context.Context) error {
	defer c.http.CloseIdleConnections()
	page, err := c.order(ctx)
	if err != nil {
		return err
	}
	patience, leave := c.pace.within(ctx, c.patience)
	defer leave()
	c.line.begin()
	err = c.pay(patience, page)
	if ctx.Err() == nil && patience.Err() != nil { // whatever was under way then: the customer is gone
		return nil
	}
	return err
}

func (c *customer) order(ctx context.Context) (page, error) {
	return c.post(ctx, "/orders", url.Values{"item": {c.item.ID}, "email": {address}})
}

func (c *customer) pay(ctx context.Context, p page) error {
	card, seen := c.card, false
	for {
		next, err := c.click(ctx, p, card, !seen)
		next, err = c.insist(ctx, p.url, next, err)
		if err != nil {
			if ctx.Err() != nil {
				c.line.add(Event{Kind: Left, Text: "gives up: the page does not answer"})
			}
			return err
		}
		p, seen = next, true
		c.line.page(p.status, p.words)
		if p, err = c.watch(ctx, p); err == nil && p.action != "" {
			err = c.pace.sleep(ctx, c.thinking)
		}
		switch {
		case ctx.Err() != nil:
			c.line.add(Event{Kind: Left, Text: "closes the page"})
			return err
		case err != nil:
			return err
		case p.status == "declined":
			card = c.otherCard
		case p.action == "":
			return nil
		}
	}
}

// click sends the form. A browser that is clicked at twice sends it twice, and shows the answer to the second.
func (c *customer) click(ctx context.Context, p page, card string, first bool) (page, error) {
	form := url.Values{"card": {card}, "payment": {p.payment}}
	c.line.click("clicks: pay " + euros(c.item.Cents))
	if first && c.secondClick > 0 {
		ctx, dismiss := context.WithCancel(ctx)
		var answers sync.WaitGroup
		defer answers.Wait()
		defer dismiss()
		sent := make(chan struct{})
		leaves := sync.OnceFunc(func() { close(sent) })
		answers.Go(func() {
			defer leaves()
			first := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { leaves() }})
			_ = c.send(first, p.action, form) // nobody sees this answer
		})
		if err := c.pace.sleep(ctx, c.secondClick); err != nil {
			return page{}, err
		}
		<-sent // however busy the machine is, the first click leaves before the second
		c.line.click("clicks again")
	}
	return c.post(ctx, p.action, form)
}

// send sends a form, and does not look at the answer.
func (c *customer) send(ctx context.Context, path string, form url.Values) error {
	req, err := c.request(ctx, path, form)
	if err != nil {
		return err
	}
	res, err := c.http.Transport.RoundTrip(withCookies(c.http.Jar, req))
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func withCookies(jar http.CookieJar, req *http.Request) *http.Request {
	for _, cookie := range jar.Cookies(req.URL) {
		req.AddCookie(cookie)
	}
	return req
}

// watch looks at a page that reloads itself, until it no longer does.
func (c *customer) watch(ctx context.Context, p page) (page, error) {
	for p.refresh > 0 {
		if err := c.pace.sleep(ctx, p.refresh); err != nil {
			return p, err
		}
		next, err := c.get(ctx, p.url)
		if next, err = c.insist(ctx, p.url, next, err); err != nil {
			return p, err
		}
		p = next
		c.line.page(p.status, p.words)
	}
	return p, nil
}

func (c *customer) request(ctx context.Context, path string, form url.Values) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.shop+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req, nil
}

// post sends a form and follows where the answer leads.
func (c *customer) post(ctx context.Context, path string, form url.Values) (page, error) {
	req, err := c.request(ctx, path, form)
	if err != nil {
		return page{}, err
	}
	return c.load(req)
}

func (c *customer) get(ctx context.Context, address string) (page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return page{}, err
	}
	return c.load(req)
}

func (c *customer) load(req *http.Request) (page, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return page{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return page{}, err
	}
	if res.StatusCode != http.StatusOK {
		err := fmt.Errorf("demo: %s answered %s: %.200s", req.URL, res.Status, body)
		if res.StatusCode == http.StatusNotFound {
			err = fmt.Errorf("%w: %w", errForgotten, err)
		}
		return page{}, err
	}
	return readPage(res.Request.URL.String(), string(body))
}

// page is what matters of a page.
type page struct {
	url     string
	status  string
	words   string // what it says about that
	action  string // where its form goes; "": there is none
	payment string // the form's hidden field
	refresh time.Duration
}

var (
	statusField  = regexp.MustCompile(`data-status="([a-z]+)"`)
	wordsField   = regexp.MustCompile(`data-status="[a-z]+">([^<]*)`)
	actionField  = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
	paymentField = regexp.MustCompile(`name="payment" value="([^"]+)"`)
	refreshField = regexp.MustCompile(`http-equiv="refresh" content="(\d+)"`)
)

func readPage(address, body string) (page, error) {
	field := func(re *regexp.Regexp) string {
		if m := re.FindStringSubmatch(body); m != nil {
			return html.UnescapeString(m[1])
		}
		return ""
	}
	p := page{url: address, status: field(statusField), words: field(wordsField), action: field(actionField), payment: field(paymentField)}
	if p.status == "" {
		return p, errors.New("demo: the page at " + address + " has no status")
	}
	if seconds := field(refreshField); seconds != "" {
		d, err := time.ParseDuration(seconds + "s")
		if err != nil {
			return p, err
		}
		p.refresh = d
	}
	return p, nil
}
