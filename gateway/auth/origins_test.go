package auth

import "testing"

// An origin counts while an enabled client has it, and to the letter.
func TestRegisteredOrigins(t *testing.T) {
	const page = "https://app.example"
	app := Client{ID: "app", Origins: []string{page, "http://localhost:3000"}}
	r := &Registry{}
	set := func(clients ...Client) {
		next := &registrations{clients: map[string]*registered{}}
		for _, c := range clients {
			next.clients[c.ID] = &registered{Client: c}
		}
		r.state.Store(next)
	}
	set(app, Client{ID: "service"})
	for origin, want := range map[string]bool{
		page: true, "http://localhost:3000": true, "": false, "null": false, "https://app.example:443": false, "https://APP.example": false,
		"https://app.example/": false, "http://app.example": false, "https://app.example.evil": false, "http://localhost:3001": false,
	} {
		if got := r.RegisteredOrigin(t.Context(), origin); got != want {
			t.Errorf("%q: %v", origin, got)
		}
	}
	app.Disabled = true
	set(app)
	if r.RegisteredOrigin(t.Context(), page) {
		t.Error("the origin of a disabled client")
	}
	app.Disabled = false
	set(app)
	if !r.RegisteredOrigin(t.Context(), page) {
		t.Error("enabled again")
	}
}
