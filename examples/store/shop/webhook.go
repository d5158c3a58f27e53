package shop

import (
	"context"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/idempotency"
)

// BankSays takes down what the bank has told about a payment, unasked.
func (s *Shop) BankSays(ctx context.Context, customer, payment string, v idempotency.Verdict[bank.Receipt]) error {
	_, err := s.calls.charge.For(customer).Settle(ctx, payment, v)
	return err
}
