package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/handoff-health/handoff/adapters/inbox"
)

// Metrics carry counts by feed, state and code, and no value of a record: codes
// that no vocabulary has stand in the report alone, and nothing counts persons,
// seals or expunges, which are few.

func feedMetric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("handoff_feed_"+name, help, append([]string{"system"}, labels...), nil)
}

var (
	metricMessages = feedMetric("messages_total", "Messages of the inbox by state: stored and rejected are settled, parsed and mapped how far those came; received are all, with those that wait and are deferred.", "state")
	metricRejected = feedMetric("rejected_messages_total", "Rejected messages by the code of the first reject.", "code")
	metricCopies   = feedMetric("repeated_messages_total", "Messages that were not kept or not processed: duplicates, collisions of a key.", "kind")
	metricRecords  = feedMetric("records_total", "Records by outcome since the process began.", "outcome")
	metricWaiting  = feedMetric("waiting_messages", "Messages that are durable and not settled.")
	metricBytes    = feedMetric("waiting_bytes", "Bytes of the messages that wait.")
	metricOldest   = feedMetric("oldest_waiting_seconds", "Age of the oldest message that waits.")
	metricDeferred = feedMetric("deferred_messages", "Messages that could not be stored and are tried again.")
	metricUp       = feedMetric("receiver_up", "1 if the receiver runs.")
	metricHolds    = feedMetric("processes", "1 if this gateway is the one that processes the feed. It alone tells of messages.")
	metricPaused   = feedMetric("paused", "1 if the processing is paused.")
	metricRetrying = feedMetric("retrying", "1 if the processing waits because the store failed.")
	metricLast     = feedMetric("last_message_timestamp_seconds", "When the last message came.")
	metricMapping  = feedMetric("mapping_failed", "1 if a mapping has a fault and is not used.")
	metricMissing  = feedMetric("mapping_missing", "1 if no mapping is in force, so that nothing of the feed is processed here.")
	metricEvents   = feedMetric("receiver_events_total", "What the receiver saw since the process began.", "event")
)

// feedCollector reads the running feeds when it is asked.
type feedCollector struct{ feeds []*liveFeed }

// Describe implements prometheus.Collector.
func (c feedCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements prometheus.Collector.
func (c feedCollector) Collect(to chan<- prometheus.Metric) {
	for _, f := range c.feeds {
		f.collect(to)
	}
}

func (f *liveFeed) collect(to chan<- prometheus.Metric) {
	emit := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, t, v, append([]string{f.system.Key}, labels...)...)
	}
	flag := func(d *prometheus.Desc, on bool) {
		v := 0.0
		if on {
			v = 1
		}
		emit(d, prometheus.GaugeValue, v)
	}
	c := f.report.counted(f.box)
	r := f.runningWith(c)
	holds := f.lease.Check() == nil
	flag(metricHolds, holds)
	if holds { // of several gateways one tells what is of the store, so that sums are right
		f.collectInbox(emit, &c)
	}
	flag(metricUp, r.Receiver == "running" || r.Receiver == "mounted")
	flag(metricPaused, f.paused.Load())
	flag(metricRetrying, r.Retry != nil)
	flag(metricMapping, r.Mapping.Error != "")
	flag(metricMissing, r.Mapping.Missing())
	for event, n := range r.Events {
		emit(metricEvents, prometheus.CounterValue, float64(n), event)
	}
	f.report.mu.Lock()
	defer f.report.mu.Unlock()
	for outcome, n := range f.report.records {
		emit(metricRecords, prometheus.CounterValue, float64(n), outcome)
	}
}

// collectInbox tells of the inbox, which all gateways share.
func (f *liveFeed) collectInbox(emit func(*prometheus.Desc, prometheus.ValueType, float64, ...string), c *inbox.Standing) {
	for state, n := range map[string]int64{"parsed": c.Parsed, "mapped": c.Mapped, "stored": c.Stored, "rejected": c.Rejected,
		"received": c.Received} {
		emit(metricMessages, prometheus.CounterValue, float64(n), state)
	}
	for code, n := range c.Codes {
		emit(metricRejected, prometheus.CounterValue, float64(n), code)
	}
	emit(metricCopies, prometheus.CounterValue, float64(c.Duplicates), "duplicate")
	emit(metricCopies, prometheus.CounterValue, float64(c.Collisions), "collision")
	emit(metricWaiting, prometheus.GaugeValue, float64(c.Waiting))
	emit(metricBytes, prometheus.GaugeValue, float64(c.WaitingBytes))
	emit(metricDeferred, prometheus.GaugeValue, float64(c.Deferred))
	oldest := 0.0
	if !c.Oldest.IsZero() {
		oldest = f.now().Sub(c.Oldest).Seconds()
	}
	emit(metricOldest, prometheus.GaugeValue, oldest)
	if !c.Last.IsZero() {
		emit(metricLast, prometheus.GaugeValue, float64(c.Last.Unix()))
	}
}

// serveMetrics answers /metrics on a listener of its own until the context ends.
// stop waits for it.
func (g *running) serveMetrics(ctx context.Context) (stop func(), err error) {
	address := g.config.Telemetry.Listen
	if address == "" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("telemetry.listen %s: %w", address, err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(feedCollector{g.feeds}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: metricsLog{g.log}, MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	s := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)}
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			g.log.Error("the metrics listener broke off", "error", err)
		}
	}()
	g.log.Info("metrics listen", "address", l.Addr().String())
	return func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = s.Shutdown(grace) // whoever reads metrics reads them again
	}, nil
}

type metricsLog struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (l metricsLog) Println(v ...any) { l.log.Warn("metrics", "error", fmt.Sprint(v...)) }
