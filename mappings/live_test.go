package mappings

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// changing is a file system whose files can be put in place while it is used.
type changing struct {
	mu    sync.Mutex
	files fstest.MapFS
}

func (c *changing) Open(name string) (fs.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.files.Open(name)
}

func (c *changing) put(name, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text == "" {
		delete(c.files, name)
		return
	}
	c.files[name] = &fstest.MapFile{Data: []byte(text)}
}

func TestALiveSetIsReplacedWholeOrNotAtAll(t *testing.T) {
	site := "profile: north\nmapping: m.yaml\n"
	c := &changing{files: fstest.MapFS{}}
	c.put("m.yaml", baseMapping)
	c.put("types.yaml", baseTypes)
	c.put("sex.csv", sexCSV)
	c.put("site.yaml", site)
	l := NewLive(c, func(files fs.FS) (*Map, error) {
		p, err := LoadProfile(files, "site.yaml")
		if err != nil {
			return nil, err
		}
		name, _ := p.MappingFile()
		return Load(files, name, p)
	})
	look := func(step string, changed bool, fault string) {
		t.Helper()
		got, err := l.Look()
		if got != changed || (err == nil) != (fault == "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: changed %v, error %v; want %v, %q", step, got, err, changed, fault)
		}
	}
	if l.Get() != nil {
		t.Error("there is a set before any was loaded")
	}
	look("the first", true, "")
	first := l.Get()
	look("nothing changed", false, "")
	c.put("sex.csv", strings.ReplaceAll(sexCSV, "female", "lady"))
	look("a vocabulary at fault", false, `maps "F" to "lady"`)
	look("the same fault is told once", false, "")
	if l.Get() != first {
		t.Error("the old set is gone")
	}
	c.put("m.yaml", strings.Replace(baseMapping, "1.0.0", "1.1.0", 1))
	look("the fault is still there", false, "lady")
	c.put("sex.csv", sexCSV)
	look("mended", true, "")
	if l.Get().Version != "1.1.0" || first.Version != "1.0.0" {
		t.Errorf("versions %s, %s", l.Get().Version, first.Version)
	}
	c.put("types.yaml", "")
	look("a file gone", false, "does not exist")
	c.put("types.yaml", baseTypes)
	look("it is back", true, "")
	c.put("site.yaml", site+"vocabularies: {sex: more.csv}\n")
	look("names a file that is not there yet", false, "more.csv")
	c.put("more.csv", sexCSV)
	look("it appears", true, "")
}

func TestALiveSetDoesNotBeginWithAFault(t *testing.T) {
	fault := errors.New("fault")
	files := &changing{files: fstest.MapFS{}}
	files.put("a", "broken")
	l := NewLive(files, func(files fs.FS) (string, error) {
		raw, err := fs.ReadFile(files, "a")
		if err == nil && string(raw) == "broken" {
			err = fault
		}
		return string(raw), err
	})
	for i, c := range []struct {
		text, want string
		changed    bool
		err        error
	}{
		{"broken", "", false, fault},
		{"broken", "", false, nil}, // told once
		{"", "", false, fs.ErrNotExist},
		{"whole", "whole", true, nil},
		{"whole", "whole", false, nil},
		{"broken", "whole", false, fault},
	} {
		files.put("a", c.text)
		if changed, err := l.Look(); changed != c.changed || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || l.Get() != c.want {
			t.Errorf("%d, %q: changed %v, error %v, set %q", i, c.text, changed, err, l.Get())
		}
	}
}

func TestRecordsUnderWayKeepTheirSet(t *testing.T) {
	c := &changing{files: fstest.MapFS{}}
	for name, text := range map[string]string{"m.yaml": baseMapping, "types.yaml": baseTypes, "sex.csv": sexCSV} {
		c.put(name, text)
	}
	l := NewLive(c, func(files fs.FS) (*Map, error) { return Load(files, "m.yaml", nil) })
	if _, err := l.Look(); err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				m := l.Get()
				if _, err := m.Apply(er7("ADT_A01", "PID|1||A1|||||F"), Options{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 30 {
		c.put("m.yaml", strings.Replace(baseMapping, "1.0.0", "1.0."+string(rune('a'+i%26)), 1))
		if _, err := l.Look(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	work.Wait()
}
