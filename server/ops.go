package server

import (
	"context"
	"fmt"
	"net/http"
	"net/http/pprof"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// check is one thing that must work for the server to be ready.
type check struct {
	name string
	run  func(context.Context) error
}

// readyTimeout bounds all checks of one /readyz.
const readyTimeout = 2 * time.Second

// opsHandler serves /healthz (the process lives), /readyz (it can do its work), /metrics and, when asked for, pprof. As in Kubernetes,
// /readyz?exclude=NAME leaves a check out: what all nodes share must not take all of them away from who balances load.
func opsHandler(m *metrics, ready func() bool, checks []check, withPprof bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if !ready() {
			http.Error(w, "shutting down", http.StatusServiceUnavailable)
			return
		}
		without := r.URL.Query()["exclude"]
		for _, c := range checks {
			if slices.Contains(without, c.name) {
				continue
			}
			if err := c.run(ctx); err != nil {
				http.Error(w, c.name+": "+err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	if withPprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}
