package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"
)

// MaxEvents is how many events one request may bring.
const MaxEvents = 1000

// ErrTooMany says that a body has more events than are taken at once.
var ErrTooMany = fmt.Errorf("more than %d events", MaxEvents)

// lineTypes are the media types of one JSON value a line.
var lineTypes = []string{"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json-lines"}

// readable says whether a content type is JSON, and whether it is one value a
// line.
func readable(contentType string) (lines, ok bool) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return false, false
	}
	if slices.Contains(lineTypes, media) {
		return true, true
	}
	return false, media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

// Events cuts a body into its events, each as it was sent: one value, the
// elements of an array, or, with lines, each line. A line that is no JSON is an
// event all the same: its decoder rejects it, and it keeps no other from being
// read. Senders that write several values under a plain JSON type are understood.
func Events(body []byte, lines bool) ([][]byte, error) {
	if lines {
		return eachLine(body)
	}
	var out [][]byte
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		var value json.RawMessage
		err := d.Decode(&value)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("byte %d: %w", d.InputOffset(), err)
		}
		if value[0] != '[' {
			out = append(out, value)
		} else {
			var elements []json.RawMessage
			if err := json.Unmarshal(value, &elements); err != nil {
				return nil, err
			}
			for _, e := range elements {
				out = append(out, e)
			}
		}
		if len(out) > MaxEvents {
			return nil, ErrTooMany
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there is no event in it")
	}
	return out, nil
}

func eachLine(body []byte) ([][]byte, error) {
	var out [][]byte
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if out = append(out, line); len(out) > MaxEvents {
			return nil, ErrTooMany
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there is no event in it")
	}
	return out, nil
}

// identify is what the sender calls an event: a text or number at the top, under
// the first of the names that is there; else a hash of the event, so that the
// same one is known again.
func identify(event []byte, names []string) string {
	var top map[string]json.RawMessage
	if json.Unmarshal(event, &top) == nil {
		for _, name := range names {
			var id any
			d := json.NewDecoder(bytes.NewReader(top[name]))
			d.UseNumber()
			if d.Decode(&id) != nil {
				continue
			}
			switch id := id.(type) {
			case string:
				if id != "" && len(id) <= 200 {
					return id
				}
			case json.Number:
				return id.String()
			}
		}
	}
	sum := sha256.Sum256(event)
	return "sha256:" + hex.EncodeToString(sum[:])
}
