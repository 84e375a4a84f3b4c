package kms

import (
	"context"
	"time"

	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/seal"
)

// watched tells an observer of each call.
type watched struct {
	envelope.KEK
	observer Observer
}

func watch(k envelope.KEK, o Observer) envelope.KEK {
	if o == nil {
		return k
	}
	return watched{k, o}
}

func (w watched) Wrap(ctx context.Context, clear seal.Secret, place string) (name string, wrapped []byte, err error) {
	began := time.Now()
	name, wrapped, err = w.KEK.Wrap(ctx, clear, place)
	w.observer.KeyServiceCall(OperationWrap, outcome(err), time.Since(began))
	return name, wrapped, err
}

func (w watched) Unwrap(ctx context.Context, name string, wrapped []byte, place string) (seal.Secret, error) {
	began := time.Now()
	clear, err := w.KEK.Unwrap(ctx, name, wrapped, place)
	w.observer.KeyServiceCall(OperationUnwrap, outcome(err), time.Since(began))
	return clear, err
}

func outcome(err error) Outcome {
	switch {
	case err == nil:
		return OutcomeOK
	case fault.Is(err, fault.CodeKeysUnavailable):
		return OutcomeFailed
	}
	return OutcomeUnreadable
}
