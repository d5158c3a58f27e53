package record

// Final marks an error after which the same request must not be made again (see idempotency.Store).
func Final(err error) error {
	if err == nil {
		return nil
	}
	return final{err}
}

type final struct{ error }

func (f final) Unwrap() error { return f.error }
func (final) Final() bool     { return true }
