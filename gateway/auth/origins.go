package auth

import (
	"context"
	"slices"
)

// RegisteredOrigin says whether an enabled client registered the origin of pages that
// may call this server. It is asked at each request, so that the origins of a
// client go with it.
func (r *Registry) RegisteredOrigin(ctx context.Context, origin string) bool {
	s, err := r.current(ctx)
	if err != nil {
		return false
	}
	for _, c := range s.clients {
		if !c.Disabled && slices.Contains(c.Origins, origin) {
			return true
		}
	}
	return false
}
