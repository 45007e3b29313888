package main

import (
	"fmt"
	"log/slog"
	"net/http"
)

// What a load balancer asks. The answers say nothing about anything but whether
// requests can be sent here; why they cannot is in the log.

func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// ready says whether the store and the trail can serve; without one of them no
// request is answered.
func ready(g *running, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := g.store.Ping(r.Context())
		if err == nil {
			err = g.trail.Healthy()
		}
		if err != nil {
			log.Error("the gateway is not ready", "error", err)
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ready")
	})
}
