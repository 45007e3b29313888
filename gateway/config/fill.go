package config

import "errors"

// Fill puts what ${env:NAME} and ${file:PATH} stand for into a text that stands in no
// configuration, such as an argument; paths are relative to dir. The error names the
// placeholder, never what it stands for.
func Fill(text, dir string) (string, error) {
	var errs []error
	out := placeholder.ReplaceAllStringFunc(text, func(s string) string {
		g := placeholder.FindStringSubmatch(s)
		value, err := lookup(g[1], g[2], dir)
		if err != nil {
			errs = append(errs, err)
		}
		return value
	})
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	return out, nil
}
