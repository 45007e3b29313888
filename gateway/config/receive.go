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

// MLLP is a listener for HL7 v2.
type MLLP struct {
	Listen string `yaml:"listen"` // host:port
}

// Webhook takes events over HTTP at /adapters/<key>.
type Webhook struct {
	Secret Secret `yaml:"secret"` // of the signature
}

// Folder is a watched drop folder.
type Folder struct {
	Path string `yaml:"path"`
}

func (r *Receive) defaults() {
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

// receive checks what all ways in have in common.
func (k *checker) receive(at string, r *Receive) {
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
