// Package breaker stops calls to a service that keeps failing, and finds out with few of them when it works again.
//
//	var payments = breaker.New(breaker.Config{Name: "payments"})
//
//	res, err := breaker.Do(ctx, payments, func(ctx context.Context) (*Charge, error) {
//		return client.Charge(ctx, order)
//	})
//	if errors.Is(err, breaker.ErrOpen) {
//		// Nothing was sent.
//	}
//
// # States
//
//   - [Closed]: calls go through, and their results are counted in a sliding window. Where the share of failures (or
//     of slow calls) reaches its limit, the breaker opens.
//   - [Open]: calls are refused with an [*OpenError] for Config.OpenFor. Then the breaker is half-open.
//   - [HalfOpen]: up to Config.Probes calls go through at a time. When that many have succeeded, the breaker closes;
//     when one fails, it opens again.
//
// # What it guarantees
//
// A call that completes the condition for opening opens the breaker before its result is handed on: no call that begins
// after that goes through. The condition is judged at every failure and every slow call, and at the success that is the
// MinCalls-th call of the window; no other success can complete it. Where the share rises only because old successes
// leave the window, the next of these calls sees it.
//
// A result counts in the state in which its call began, or not at all: a call that was under way when the state changed
// says nothing about the new one. A call that its own caller cancelled counts neither way.
//
// # Cost
//
// Calls through a closed breaker share no lock and write to no common cache line: each processor counts on a shard of
// its own, which are added up when the condition is judged.
package breaker
