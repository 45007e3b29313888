package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// What a load balancer asks. The answers say whether requests can be sent here, and
// how many feeds do not run; why, and which, is in the log.

func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// readyWithin is how long a store may take to answer: a load balancer asks again.
const readyWithin = 3 * time.Second

// unmapped counts the feeds that have no mapping. They keep nobody from being served.
func (g *running) unmapped() (n int) {
	for _, f := range g.feeds {
		if f.live.Get() == nil {
			n++
		}
	}
	return n
}

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
		if n := g.unmapped(); n > 0 {
			fmt.Fprintln(w, "feeds that do not run:", n)
		}
	})
}
