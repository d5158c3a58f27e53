package demo

import (
	"context"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/demo/shop"
	"github.com/steadfast-go/steadfast/examples/store/naive"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// openNaive opens the naive shop. All that it knows is in its process.
func openNaive(t *trial) opener {
	return func(bankURL string) (premises, error) {
		s := naive.New(naive.Config{
			BankURL: bankURL, Warehouse: t.warehouse, Mail: t.mail,
			Timeout: t.pace.real(bankLimit), Pause: t.pace.real(time.Second),
		})
		return premises{
			handler:  s.Handler(),
			underWay: func(context.Context) (int, error) { return 0, nil }, // its work ends with its handlers
			close:    func(context.Context) error { s.Close(); return nil },
			die:      s.Close, // the bank cuts the rest
		}, nil
	}
}

// openProtected opens the protected shop. Its orders and its calls are stored outside of the process.
func openProtected(t *trial) opener {
	timing := shop.RealTime()
	timing.Attempt = bankLimit
	store, orders := memstore.New(memstore.Config{}), shop.NewOrders()
	return func(bankURL string) (premises, error) {
		gate := &gate{Store: store}
		s, err := shop.New(shop.Config{
			Store: gate, Orders: orders, Bank: bank.New(bankURL), Warehouse: t.warehouse, Mail: t.mail,
			Timing: timing.Faster(float64(t.pace)),
		})
		if err != nil {
			return premises{}, err
		}
		return premises{
			handler: s.Handler(), underWay: s.UnderWay, close: s.Close,
			die: func() {
				gate.shut()
				abandon(s)
			},
		}, nil
	}
}

// abandon ends what runs of a shop that is dead to the world: its gate is shut, so nothing that it still does is seen.
func abandon(s *shop.Shop) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Close(ctx) // a dead process reports nothing
}
