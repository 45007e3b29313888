package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A request is what a client sends, ready to write, and what must come back.
type request struct {
	wire []byte
	want *answer
}

// An answer is how a response is known to be right.
type answer struct {
	status  int
	mark    []byte   // marks one resource of the type asked for
	count   int      // how many of them
	needles [][]byte // ids and known elements, byte for byte
	exact   []byte   // the whole body, if it is known
}

func (a *answer) check(status int, body []byte) error {
	if status != a.status {
		return fmt.Errorf("status %d instead of %d: %s", status, a.status, clip(body))
	}
	if a.exact != nil && !bytes.Equal(body, a.exact) {
		return fmt.Errorf("other bytes than the upstream's: %s", clip(body))
	}
	if n := bytes.Count(body, a.mark); n != a.count {
		return fmt.Errorf("%d times %s instead of %d: %s", n, a.mark, a.count, clip(body))
	}
	for _, n := range a.needles {
		if !bytes.Contains(body, n) {
			return fmt.Errorf("%s is missing: %s", n, clip(body))
		}
	}
	return nil
}

func clip(b []byte) []byte { return b[:min(len(b), 600)] }

// get makes a request.
func get(host, path, token string, want *answer) request {
	head := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nAccept: application/fhir+json\r\n"
	if token != "" {
		head += "Authorization: Bearer " + token + "\r\n"
	}
	return request{[]byte(head + "\r\n"), want}
}

// A client is one connection that sends one request after the other. It is
// bare, so that it takes little of the CPU that it shares with what is
// measured.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	body bytes.Buffer
}

const patience = time.Minute // with one response, on a busy machine

func dial(ctx context.Context, host string) (*client, error) {
	c, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	return &client{conn: c, in: bufio.NewReaderSize(c, 32<<10)}, nil
}

// do sends a request and checks what comes back.
func (c *client) do(r request) error {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.conn.Write(r.wire); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	c.body.Reset()
	_, err = io.Copy(&c.body, resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return err
	}
	if err := r.want.check(resp.StatusCode, c.body.Bytes()); err != nil {
		line, _, _ := bytes.Cut(r.wire, []byte("\r\n"))
		return fmt.Errorf("WRONG ANSWER to %s: %w", line, err)
	}
	return nil
}

// A load is what some clients saw.
type load struct {
	n        int
	elapsed  time.Duration
	p50, p99 time.Duration
	cpu      time.Duration // of the measured processes; with ok
	ok       bool
}

func (l *load) rate() number { return number(float64(l.n) / l.elapsed.Seconds()) }

// perRequest is the CPU time of a request in microseconds.
func (l *load) perRequest() number {
	if !l.ok || l.n == 0 {
		return missing
	}
	return number(float64(l.cpu.Microseconds()) / float64(l.n))
}

const warmUp = 3 // requests of each client that are not counted

// A seat is a process that is asked: its host:port, and whose CPU time is taken.
type seat struct {
	host string
	pid  int
}

// drive lets clients send requests, each its own, for a time, to the seats in turn.
// The first wrong answer ends it.
func drive(ctx context.Context, seats []seat, requests [][]request, window time.Duration) (*load, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	took := make([][]time.Duration, len(requests))
	for i, mine := range requests {
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			var err error
			if took[i], err = work(ctx, seats[i%len(seats)].host, mine, &ready, begin, window); err != nil {
				cancel(err)
			}
		}()
	}
	ready.Wait()
	before, ok1 := cpuOfAll(seats)
	start := time.Now()
	close(begin)
	done.Wait()
	l := &load{elapsed: time.Since(start)}
	after, ok2 := cpuOfAll(seats)
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	l.cpu, l.ok = after-before, ok1 && ok2
	all := slices.Concat(took...)
	if l.n = len(all); l.n == 0 {
		return nil, errors.New("no request was answered in time")
	}
	slices.Sort(all)
	l.p50, l.p99 = all[l.n/2], all[min(l.n-1, l.n*99/100)]
	return l, nil
}

// cpuOfAll is the CPU time of all seats.
func cpuOfAll(seats []seat) (sum time.Duration, ok bool) {
	for _, s := range seats {
		d, known := processCPU(s.pid)
		if !known {
			return 0, false
		}
		sum += d
	}
	return sum, true
}

// work is one client.
func work(ctx context.Context, host string, requests []request, ready *sync.WaitGroup, begin <-chan struct{}, window time.Duration) (took []time.Duration, err error) {
	c, err := dial(ctx, host)
	if err == nil {
		defer func() { _ = c.conn.Close() }() // nothing is left to lose
		for i := 0; i < warmUp && err == nil; i++ {
			err = c.do(requests[i%len(requests)])
		}
	}
	ready.Done()
	if err != nil {
		return nil, err
	}
	select {
	case <-begin:
	case <-ctx.Done():
		return nil, nil
	}
	took = make([]time.Duration, 0, 4096)
	end := time.Now().Add(window)
	for i := 0; ; i++ {
		start := time.Now()
		if start.After(end) || ctx.Err() != nil {
			return took, nil
		}
		if err := c.do(requests[i%len(requests)]); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
}
