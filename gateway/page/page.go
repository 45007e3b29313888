package page

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
)

//go:embed layout.html message.html forward.html style.css
var files embed.FS

// A View is what a page shows. Templates get it as their dot.
type View struct {
	Title string // of the page, also its first heading
	// Faults stand above the form and link to the fields that they are about. A
	// template shows the one of a field by {{template "fault" (.Fault "name")}}.
	Faults []Fault
	Data   any // the template's own
}

// A Fault is what is wrong with a form that was sent.
type Fault struct {
	Field string // id of the field; "": the form as a whole
	Text  string // a sentence that says what to do
}

// Fault returns the fault of a field, or nil.
func (v View) Fault(field string) *Fault {
	i := slices.IndexFunc(v.Faults, func(f Fault) bool { return f.Field == field })
	if i < 0 || field == "" {
		return nil
	}
	return &v.Faults[i]
}

// Templates are the pages of one package.
type Templates struct{ pages map[string]*template.Template }

// Parse reads pages from files such as approve.html, each of which is named by
// its file without the ending and holds what stands below the first heading.
func Parse(from fs.FS, patterns ...string) (*Templates, error) {
	layout, err := template.New("layout.html").Funcs(template.FuncMap{"stylesheet": stylesheet}).ParseFS(files, "layout.html")
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	t := &Templates{pages: map[string]*template.Template{}}
	for _, p := range patterns {
		names, err := fs.Glob(from, p)
		if err != nil || len(names) == 0 {
			return nil, errors.Join(fmt.Errorf("page: no template is called %s", p), err)
		}
		for _, name := range names {
			raw, err := fs.ReadFile(from, name)
			if err != nil {
				return nil, fmt.Errorf("page: %w", err)
			}
			whole, err := layout.Clone()
			if err == nil {
				_, err = whole.New("content").Parse(string(raw))
			}
			if err != nil {
				return nil, fmt.Errorf("page: %s: %w", name, err)
			}
			base := path.Base(name)
			t.pages[base[:len(base)-len(path.Ext(base))]] = whole
		}
	}
	return t, nil
}

// Write sends the page of that name. Nothing is sent before all of it is
// rendered; one that cannot be is an error of the program, and answered as such.
func (t *Templates) Write(w http.ResponseWriter, status int, name string, v View) error {
	var out bytes.Buffer
	whole, ok := t.pages[name]
	err := fmt.Errorf("page: there is no %s", name)
	if ok {
		err = whole.Execute(&out, v)
	}
	Headers(w.Header())
	if err != nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte("The page cannot be shown. Go back and try again.\n"))
		return err
	}
	w.WriteHeader(status)
	_, err = w.Write(out.Bytes())
	return err
}
