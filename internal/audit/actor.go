package audit

import (
	"context"
	"errors"
)

// ErrNoActor refuses a change that nobody answers for. It is a mistake of the program, never of the caller.
var ErrNoActor = errors.New("audit: a change without an actor")

// Origin is who acts, and in which request.
type Origin struct {
	Actor     Actor
	RequestID string
	Address   string
}

type originKey struct{}

// WithOrigin says who answers for the changes made under the context.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// WithActor is [WithOrigin] for those who act outside a request.
func WithActor(ctx context.Context, a Actor) context.Context {
	return WithOrigin(ctx, Origin{Actor: a})
}

// OriginOf tells who acts; without anybody it is ErrNoActor.
func OriginOf(ctx context.Context) (Origin, error) {
	o, _ := ctx.Value(originKey{}).(Origin)
	if o.Actor.Kind == "" || o.Actor.Name == "" {
		return Origin{}, ErrNoActor
	}
	return o, nil
}
