package demo

import (
	"context"
	"errors"
	"time"
)

// errForgotten is a page that there is not, or no longer.
var errForgotten = errors.New("demo: the shop does not know this page")

// reload is how long people look at a browser's error page.
const reload = 2 * time.Second

// insist goes on where a shop that was killed did not answer, as people do: with the order's page, again and again; and when
// the shop has forgotten the order, with a new one.
func (c *customer) insist(ctx context.Context, orderURL string, p page, err error) (page, error) {
	for err != nil && ctx.Err() == nil && c.mayFail() {
		switch {
		case errors.Is(err, errForgotten):
			c.line.nothing("forgotten", "Not found. The shop does not know this order.")
			if err = c.pace.sleep(ctx, c.thinking); err == nil {
				p, err = c.order(ctx)
			}
		default:
			c.line.nothing("offline", "This site cannot be reached.")
			if err = c.pace.sleep(ctx, reload); err == nil {
				p, err = c.get(ctx, orderURL)
			}
		}
	}
	return p, err
}
