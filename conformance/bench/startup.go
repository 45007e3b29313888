package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// measureStart starts the gateway again and again, to its first answer.
func measureStart(ctx context.Context, b *bench) error {
	w, err := b.need(ctx)
	if err != nil {
		return err
	}
	if err := w.stopGateway(); err != nil {
		return err
	}
	var took, idle []number
	for n := range b.pace.starts {
		t, err := w.startGateway(ctx)
		if err != nil {
			return err
		}
		took = append(took, number(t.Seconds()*1e3))
		time.Sleep(300 * time.Millisecond) // what a start leaves to do
		if now, _, ok := processMemory(w.gateway.pid()); ok {
			idle = append(idle, mebibytes(now))
		}
		if n < b.pace.starts-1 {
			if err := w.stopGateway(); err != nil {
				return err
			}
		}
	}
	w.token = ""
	size := missing
	if info, err := os.Stat(w.binary); err == nil {
		size = mebibytes(info.Size())
	}
	t := b.report.table("Start and size", "what", column{"n", 0}, column{"median", 1})
	t.add("start to first answer (/readyz), ms", number(len(took)), median(took))
	t.add("resident memory, idle, MiB", number(len(idle)), median(idle))
	t.add("binary, MiB", 1, size)
	t.note("The store holds %d persons with a Consent each. First answers: %s ms.", 3*people, span(took))
	b.report.goal("start to first answer", "≤ 300 ms (design bar 10)", median(took) <= 300, "%.0f ms", median(took))
	return nil
}

// measureMemory loads the gateway with 64 clients and looks at its memory.
func measureMemory(ctx context.Context, b *bench) error {
	w, err := b.needBrokered(ctx)
	if err != nil {
		return err
	}
	if err := w.stopGateway(); err != nil {
		return err
	}
	if _, err := w.startGateway(ctx); err != nil {
		return err
	}
	w.token = ""
	t := b.report.table("Resident memory at 64 clients, MiB", "after", column{"n", 0}, column{"now", 1}, column{"peak", 1})
	row := func(name string, n int) number {
		now, peak, ok := processMemory(w.gateway.pid())
		if !ok {
			t.add(name, number(n), missing, missing)
			return missing
		}
		t.add(name, number(n), mebibytes(now), mebibytes(peak))
		return mebibytes(peak)
	}
	row("start", 0)
	const clients = 64
	token, err := w.bearer(ctx)
	if err != nil {
		return err
	}
	var peak number
	for _, x := range []struct {
		name string
		ask  asker
	}{
		{"Patient reads from the own store", w.ownRead(token)},
		{fmt.Sprintf("brokered searches of %d entries", entries), w.brokeredSearch(ehr, token)},
	} {
		l, err := drive(ctx, []seat{{w.listen, w.gateway.pid()}}, requestsOf(clients, x.ask), 4*b.pace.window)
		if err != nil {
			return err
		}
		peak = row(x.name, l.n)
	}
	if peak.known() {
		b.report.goal("resident memory at 64 clients", "≤ 64 MiB (design bar 10)", peak <= 64, "%.0f MiB at the peak", peak)
	}
	return nil
}
