// Command fakepay serves the fake payment provider alone.
//
//	go run ./examples/fakepay -addr 127.0.0.1:9090 -latency p50=300ms,p99=8s -faults "reply_lost=0.1,lands_late=0.05;delay=20s"
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	cfg := fakepay.Config{OnAttempt: logAttempt}
	flags := flag.NewFlagSet("fakepay", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:9090", "listen on this `address`; port 0 takes a free one")
	mode := flags.String("mode", "keys", "keys (remembers them), ask (ignores keys, can be asked) or none")
	latency := flags.String("latency", "0s", "time until the effect: 800ms, 100ms..2s or p50=800ms,p99=8s,max=60s")
	faults := flags.String("faults", "", "faults with rates, as in \"reply_lost=0.1,lands_late=0.05;delay=20s\"; kinds: "+kinds())
	quiet := flags.Bool("quiet", false, "do not print requests")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "decides what each order meets")
	flags.Float64Var(&cfg.Speed, "speed", 1, "provider seconds per real second")
	flags.DurationVar(&cfg.KeyLife, "keylife", fakepay.DefaultKeyLife, "how long a key is remembered")
	flags.BoolVar(&cfg.ReplayErrors, "replay-errors", false, "store declines under their key")
	flags.BoolVar(&cfg.FaultReads, "fault-reads", false, "faults for GET, too")
	flags.DurationVar(&cfg.SearchLag, "search-lag", 0, "how long until the Stripe API's search finds a new payment intent")
	flags.DurationVar(&cfg.DecideAfter, "decide-after", 10*time.Second, "when accepted charges are decided; 0: only by hand")
	flags.StringVar(&cfg.Webhook.URL, "webhook", "", "send events to this `URL`")
	flags.StringVar(&cfg.Webhook.Secret, "webhook-secret", "whsec_demo", "what they are signed with")
	flags.Float64Var(&cfg.Webhook.Duplicate, "webhook-duplicate", 0, "rate of events that are sent twice")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("fakepay: %q is not a flag: give flags only", flags.Arg(0))
	}
	var latencyErr, faultsErr error
	cfg.Mode = fakepay.Mode(*mode)
	cfg.Latency, latencyErr = fakepay.ParseLatency(*latency)
	cfg.Faults, faultsErr = fakepay.ParseFaults(*faults)
	if err := errors.Join(latencyErr, faultsErr); err != nil {
		return err
	}
	if *quiet {
		cfg.OnAttempt = nil
	}
	return serve(ctx, *addr, cfg)
}

func serve(ctx context.Context, addr string, cfg fakepay.Config) error {
	provider, err := fakepay.New(cfg)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("fakepay: %w; choose another -addr", err)
	}
	fmt.Printf(welcome, listener.Addr())

	server := &http.Server{Handler: provider, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
		fmt.Println("stopping")
	}

	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// The provider first: it cuts what it holds open, so that Shutdown need not wait for it.
	err = errors.Join(err, provider.Close(end), server.Shutdown(end))
	t := provider.Ledger().Totals
	fmt.Printf("%d charges, %d declined, %d refunds; %d cents captured, %d refunded\n", t.Charges, t.Declined, t.Refunds, t.CapturedCents, t.RefundedCents)
	return err
}

const welcome = `fakepay listens on http://%[1]s

  curl -i http://%[1]s/charges -H 'Idempotency-Key: k1' -d '{"amount_cents":4200,"currency":"eur","source":"tok_visa","reference":"order-1"}'
  curl -i http://%[1]s/charges -H 'Idempotency-Key: k2' -H 'Fakepay-Fault: reply_lost' -d '{"amount_cents":4200,"currency":"eur","source":"tok_visa","reference":"order-2"}'
  curl http://%[1]s/charges?reference=order-2
  curl -X PUT http://%[1]s/_faults -d '{"latency":"p50=1s,p99=20s","scripts":{"order-3":["reply_lost","none;latency=5s"]}}'
  curl http://%[1]s/v1/payment_intents -u sk_test_1: -d amount=4200 -d currency=eur -d payment_method=pm_card_visa -d confirm=true -d 'metadata[order_id]=order-4'
  curl http://%[1]s/_ledger

`

func kinds() string {
	var names []string
	for _, k := range fakepay.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

func logAttempt(a fakepay.Attempt) {
	if !a.Done {
		return
	}
	status := "no reply"
	if a.Delivered {
		status = fmt.Sprint(a.Status)
	}
	var notes []string
	if a.Fault.Kind != fakepay.NoFault || a.Fault.Latency != 0 {
		notes = append(notes, a.Fault.String())
	}
	if a.Replayed {
		notes = append(notes, "replayed")
	}
	if a.Effect {
		notes = append(notes, "took effect at "+round(a.EffectAt))
	}
	fmt.Printf("%8s  %-8s %-20s key=%-20s %-8s took %-7s %s\n",
		round(a.At), a.Op, a.Reference, a.Key, status, round(a.DoneAt-a.At), strings.Join(notes, ", "))
}

func round(d time.Duration) string { return d.Round(time.Millisecond).String() }
