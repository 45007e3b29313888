package mongo

import (
	"context"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A versionMark is a version document without its content.
type versionMark struct {
	ID       string  `bson:"_id"`
	Key      string  `bson:"k"`
	Version  int64   `bson:"v"`
	Nonce    string  `bson:"n"`
	Previous string  `bson:"p"`
	Chunks   int     `bson:"c"`
	At       int64   `bson:"at"`
	Stood    witness `bson:"h"`
	// Unread says that the document has another form than it should: of what it says
	// only its id is believed, and which version it follows, if that is there.
	Unread bool `bson:"-"`
}

func (m *versionMark) ref() versionRef { return versionRef{ID: m.ID, Chunks: m.Chunks} }

var markFields = bson.M{"k": 1, "v": 1, "n": 1, "p": 1, "c": 1, "at": 1, "h": 1}

// marksOf reads the marks of all versions of some resources, by key and id.
func (db *DB) marksOf(ctx context.Context, keys []string) (map[string]map[string]*versionMark, error) {
	var raws []bson.Raw
	if len(keys) == 0 {
		return nil, nil
	}
	if err := db.findAll(ctx, versions, bson.M{"k": bson.M{"$in": keys}}, markFields, &raws); err != nil {
		return nil, err
	}
	out := map[string]map[string]*versionMark{}
	for _, raw := range raws {
		m := markOf(raw)
		if m == nil {
			continue
		}
		if out[m.Key] == nil {
			out[m.Key] = map[string]*versionMark{}
		}
		out[m.Key][m.ID] = m
	}
	return out, nil
}

// markOf reads a mark. One that cannot be read, or says otherwise than its id, is Unread; of
// one whose id names another resource than it does nobody can tell, and there is none.
func markOf(raw bson.Raw) *versionMark {
	m := &versionMark{}
	if err := bson.Unmarshal(raw, m); err == nil && m.ID == versionID(m.Key, m.Version, m.Nonce) {
		return m
	}
	parts := strings.Split(nameOf(raw), "/")
	if len(parts) != 4 {
		return nil
	}
	m = &versionMark{ID: nameOf(raw), Key: parts[0] + "/" + parts[1], Nonce: parts[3], Unread: true}
	m.Previous, _ = raw.Lookup("p").StringValueOK()
	key, _ := raw.Lookup("k").StringValueOK()
	var err error
	if m.Version, err = strconv.ParseInt(parts[2], 16, 64); err != nil || key != m.Key || m.ID != versionID(m.Key, m.Version, m.Nonce) {
		return nil
	}
	return m
}

// walk follows a state down its versions. lost is the version that lacks, 0 if none;
// chain are the ids from the newest on down to there.
func walk(key string, top *state, marks map[string]*versionMark) (chain []string, lost int64) {
	for version, nonce := top.Version, top.Nonce; version > 0; version-- {
		id := versionID(key, version, nonce)
		m := marks[id]
		if m == nil {
			return chain, version
		}
		chain, nonce = append(chain, id), m.Previous
	}
	return chain, 0
}

// headless says of a head, nil if there is none, that it tells nothing of its resource,
// which may have had another: a unit that is to make it, or came to nothing, may have put
// this one. One that says that the resource was expunged tells all, if it is this one.
func (h *headDoc) headless() bool {
	return h == nil || h.State.Version == 0 && !h.Expunging && !h.expunged()
}

// expunged says of a head of nothing that an expunge has left it: that has a nonce.
func (h *headDoc) expunged() bool {
	return h.State.Version == 0 && h.State.Nonce != "" && !h.foreign()
}

// foreign says of a head that it names another resource than the one under whose id it
// stands: nobody here has put it there.
func (h *headDoc) foreign() bool { return h.Type+"/"+h.ResourceID != h.ID }

// remains are what the versions of a resource tell that has no head.
type remains struct {
	lost   bool // its head stood once: it was lost
	unsaid bool // nobody can tell whether it stood
	unread bool // one of them cannot be read
	newest *versionMark
}

// kept says that none of it may go: it was acknowledged, or may have been.
func (r remains) kept() bool { return r.lost || r.unsaid || r.unread }

// remainsOf judges versions that no head leads to. An expunge removes all of them while
// the head still says so. So a complete chain of several was acknowledged, but for its last
// perhaps: who wrote that had seen a head. Of a single first version its witness tells.
// The newest is what the head was at, if that can be told: nil where one beyond it is in no
// chain, or where two are as new.
func remainsOf(key string, marks map[string]*versionMark) (r remains) {
	top := int64(0)
	for _, m := range marks {
		top = max(top, m.Version)
	}
	candidates := 0
	for _, m := range marks {
		_, lacks := walk(key, &state{Version: m.Version, Nonce: m.Nonce}, marks)
		stands := lacks == 0 && (m.Version > 1 || m.Stood == stood)
		r.lost = r.lost || stands
		r.unread = r.unread || m.Unread
		r.unsaid = r.unsaid || m.Version == 1 && m.Stood == unsaid
		if stands && m.Version == top {
			r.newest = m
			candidates++
		}
	}
	if candidates != 1 {
		r.newest = nil
	}
	return r
}

// kept gives those of some resources without a head of which nothing may go.
func (db *DB) kept(ctx context.Context, keys []string) (map[string]bool, error) {
	marks, err := db.marksOf(ctx, keys)
	out := make(map[string]bool, len(marks))
	for key := range marks {
		out[key] = remainsOf(key, marks[key]).kept()
	}
	return out, err
}
