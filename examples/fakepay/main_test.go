package main

import (
	"context"
	"flag"
	"strings"
	"testing"
)

func TestRunStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, []string{"-addr", "127.0.0.1:0", "-faults", "reply_lost=0.1,lands_late=0.1;delay=5s", "-latency", "p50=1s,p99=9s"}); err != nil {
		t.Errorf("a stop is not an error: %v", err)
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	for args, want := range map[string]string{
		"-mode sometimes":                       "Config.Mode",
		"-latency soon":                         "latency",
		"-faults nonsense=1":                    "nonsense",
		"-speed 0.0000000":                      "", // zero is the default
		"-speed -1":                             "Config.Speed",
		"-webhook shop":                         "Webhook.URL",
		"-addr 256.0.0.1:1":                     "-addr",
		"-h":                                    flag.ErrHelp.Error(),
		"serve":                                 "serve",
		"-webhook-secret= -webhook http://shop": "Webhook.Secret",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := run(ctx, append([]string{"-addr", "127.0.0.1:0"}, strings.Fields(args)...))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", args, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, and should speak of %s", args, err, want)
		}
	}
}
