package config

import (
	"fmt"
	"time"
)

// Receive says how the records of a feed come in while the gateway runs: by one
// of MLLP, Webhook and Folder.
type Receive struct {
	MLLP    *MLLP    `yaml:"mllp"`
	Webhook *Webhook `yaml:"webhook"`
	Folder  *Folder  `yaml:"folder"`
	// MaxWaiting and MaxWaitingBytes bound what is kept and not yet processed. A
	// sender is asked to try again when they are reached. Default 10000 messages
	// and 256 MiB.
	MaxWaiting      int   `yaml:"maxWaiting"`
	MaxWaitingBytes int64 `yaml:"maxWaitingBytes"`
	// Remember is how long a message that was processed is known by its id, so
	// that a copy is told from a new one; default 720h. After it a copy is
	// processed again, and changes nothing.
	Remember time.Duration `yaml:"remember"`
	// Reload is how often mapping and profile files are looked at; default 5s.
	Reload time.Duration `yaml:"reload"`
}

func (r *Receive) defaults(key string) {
	if r.MaxWaiting == 0 {
		r.MaxWaiting = 10_000
	}
	if r.MaxWaitingBytes == 0 {
		r.MaxWaitingBytes = 256 << 20
	}
	if r.Remember == 0 {
		r.Remember = 30 * 24 * time.Hour
	}
	if r.Reload == 0 {
		r.Reload = 5 * time.Second
	}
	switch {
	case r.MLLP != nil:
		r.MLLP.defaults()
	case r.Webhook != nil:
		r.Webhook.defaults(key)
	case r.Folder != nil:
		r.Folder.defaults()
	}
}

// Way names the way in: "mllp", "webhook", "folder"; "" if there is none or
// more than one.
func (r *Receive) Way() string {
	way, n := "", 0
	for name, has := range map[string]bool{"mllp": r.MLLP != nil, "webhook": r.Webhook != nil, "folder": r.Folder != nil} {
		if has {
			way, n = name, n+1
		}
	}
	if n != 1 {
		return ""
	}
	return way
}

// receive checks what all ways in have in common, and then the way itself.
func (k *checker) receive(at string, s System) {
	r := s.Receive
	switch r.Way() {
	case "mllp":
		k.mllp(at+".mllp", s)
	case "webhook":
		k.webhook(at+".webhook", s)
	case "folder":
		k.folder(at+".folder", s)
	}
	if r.Way() == "" {
		k.fault(at, "needs exactly one of mllp, webhook, folder")
	}
	if r.MaxWaiting < 1 || r.MaxWaiting > 1_000_000 {
		k.fault(at+".maxWaiting", fmt.Sprintf("is %d; it must be from 1 to 1000000", r.MaxWaiting))
	}
	if r.MaxWaitingBytes < 1<<20 {
		k.fault(at+".maxWaitingBytes", fmt.Sprintf("is %d; it must be at least 1048576: one message can be that long", r.MaxWaitingBytes))
	}
	if r.Remember < time.Hour {
		k.fault(at+".remember", "must be at least 1h: a sender repeats what was not acknowledged")
	}
	if r.Reload < time.Second {
		k.fault(at+".reload", "must be at least 1s")
	}
}
