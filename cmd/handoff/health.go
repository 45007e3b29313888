package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// What a load balancer asks. The answers say nothing about anything but whether
// requests can be sent here; why they cannot is in the log.

func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// readyWithin is how long a store may take to answer: a load balancer asks again.
const readyWithin = 3 * time.Second

// ready says whether the store and the trail can serve; without one of them no
// request is answered.
func ready(g *running, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
		defer cancel()
		err := g.store.Ping(ctx)
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
