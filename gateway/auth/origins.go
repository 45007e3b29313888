package auth

import "slices"

// RegisteredOrigin says whether an enabled client registered the origin of pages that
// may call this server. It is asked at each request, so that the origins of a
// client go with it.
func (r *Registry) RegisteredOrigin(origin string) bool {
	for _, c := range r.current().clients {
		if !c.Disabled && slices.Contains(c.Origins, origin) {
			return true
		}
	}
	return false
}
