// Command store is a web shop whose payments go wrong in every way they can, and whose customers do not notice.
//
//	go run ./examples/store             the shop, in a browser
//	STRIPE_KEY=sk_test_… go run ./examples/store
//	                                    the same, paid through Stripe's test mode
//	go run ./examples/store -h          its flags
//	go run ./examples/store demo        its customers, next to those of a shop as such shops are mostly written
//	go run ./examples/store demo -h     the demo's flags
//	go run ./examples/store demo -crash both shops, killed in the middle of payments
//	go run ./examples/store load        how many orders a second it takes
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/steadfast-go/steadfast/examples/store/crash"
	"github.com/steadfast-go/steadfast/examples/store/demo"
	"github.com/steadfast-go/steadfast/examples/store/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, context.Canceled):
		os.Exit(130) // as shells report an interrupt
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run takes the subcommand off the arguments. Without one it is the shop.
func run(ctx context.Context, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return serveShop(ctx, args, os.Stdout, os.Stderr)
	}
	switch command, rest := args[0], args[1:]; command {
	case "demo":
		if i := slices.Index(rest, "-crash"); i >= 0 {
			return crash.Main(ctx, slices.Delete(rest, i, i+1), os.Stdout, os.Stderr)
		}
		return demo.Main(ctx, rest, os.Stdout, os.Stderr)
	case crash.Role:
		return crash.Play(ctx, rest, os.Stdin, os.Stdout)
	case "load":
		return load.Main(ctx, rest, os.Stdout, os.Stderr)
	default:
		return fmt.Errorf("store: there is no subcommand %q: use demo or load, or none for the shop", command)
	}
}
