// Command store is a web shop whose payments go wrong in every way they can, and whose customers do not notice.
//
//	go run ./examples/store demo        what happens to them, next to a shop as such shops are mostly written
//	go run ./examples/store demo -h     its flags
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/steadfast-go/steadfast/examples/store/demo"
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

// run takes the subcommand off the arguments. Without one it is the demo.
func run(ctx context.Context, args []string) error {
	command := "demo"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	if command == "demo" {
		return demo.Main(ctx, args, os.Stdout, os.Stderr)
	}
	return fmt.Errorf("store: there is no subcommand %q: use demo", command)
}
