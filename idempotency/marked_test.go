package idempotency_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/steadfast-go/steadfast/idempotency"
)

func TestMarked(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		want bool
	}{
		{"nil", nil, false},
		{"plain", errDown, false},
		{"two plain ones", errors.Join(errDown, errDown), false},
		{"replayed says nothing about what happened", idempotency.Replayed(errDown), false},
		{"what another call was told", fmt.Errorf("nested: %w", &idempotency.UnknownError{}), false},
		{"not sent", idempotency.NotSent(errDown), true},
		{"rejected, wrapped", fmt.Errorf("charge: %w", idempotency.Rejected("no", errDown)), true},
		{"accepted", idempotency.Accepted("ref", 0), true},
		{"rejected, replayed", idempotency.Replayed(idempotency.Rejected("no", nil)), true},
		{"marked and plain", errors.Join(errDown, idempotency.NotSent(nil)), true},
	} {
		assert.Equal(t, row.want, idempotency.Marked(row.err), row.name)
	}
}
