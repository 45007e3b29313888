package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/handoff-health/handoff/fhir/store/mongo"
)

// Check says why an address cannot be one, with a database as in Options. It asks
// no server and opens no store; files that a connection string names are read. It
// tells no user, password or other secret.
func Check(address, database string) error {
	if IsMongo(address) {
		a, err := parse(address, database)
		if err != nil {
			return err
		}
		return a.Check()
	}
	path, err := pathOf(address)
	switch {
	case err != nil:
		return err
	case path == "":
		return errors.New("names no file")
	case path == Memory:
		return fmt.Errorf("%s is a store of tests, which is gone when the command ends; a file of that name is written ./%[1]s", Memory)
	}
	return nil
}

// Name says for people and logs which store an address means: without user,
// password and options.
func Name(address, database string) string {
	if !IsMongo(address) {
		return address
	}
	a, err := parse(address, database)
	if err != nil {
		return "mongodb://…" // Open says what is wrong with it
	}
	return a.String()
}

// Named says which database the address of a MongoDB deployment names, "" if none.
func Named(address string) (string, error) {
	a, err := mongo.ParseAddress(mongoURI(address))
	return a.Database, err
}

// Database is the database that a store at an address is in, with one as in Options.
func Database(address, database string) (string, error) {
	a, err := parse(address, database)
	return a.Database, err
}

// InDatabase gives the address of a MongoDB deployment with another database.
func InDatabase(address, database string) (string, error) {
	a, err := mongo.ParseAddress(mongoURI(address))
	if err == nil {
		a, err = a.Move(database)
	}
	if err != nil {
		return "", err
	}
	return a.URI(), nil
}

// WithOption gives the address of a MongoDB deployment with an option of the
// connection string, unless that option is set already.
func WithOption(address, name, value string) (string, error) {
	a, err := mongo.ParseAddress(mongoURI(address))
	if err != nil {
		return "", err
	}
	return a.With(name, value).URI(), nil
}

// Remove takes away the store at an address with all that it holds. One that is
// not there is no error; one that is open must be closed first.
func Remove(ctx context.Context, address string, o Options) error {
	if IsMongo(address) {
		uri, err := uriOf(address, o.Database)
		if err != nil {
			return err
		}
		return mongo.Drop(ctx, uri, o.mongo())
	}
	path, err := pathOf(address)
	if err != nil {
		return err
	}
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove the store: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Vacant says whether there is nothing yet at an address: no file, or a database
// without collections.
func Vacant(ctx context.Context, address string, o Options) (bool, error) {
	if IsMongo(address) {
		uri, err := uriOf(address, o.Database)
		if err != nil {
			return false, err
		}
		return mongo.Vacant(ctx, uri, o.mongo())
	}
	path, err := pathOf(address)
	if err != nil {
		return false, err
	}
	_, err = os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, err
}

// uriOf gives the connection string for the driver, with its database. What is
// wrong with it is found here, because the driver's own errors may quote it.
func uriOf(address, database string) (string, error) {
	a, err := parse(address, database)
	if err != nil {
		return "", fmt.Errorf("open the store: the URI %w", err)
	}
	return a.URI(), nil
}

func parse(address, database string) (mongo.Address, error) {
	a, err := mongo.ParseAddress(mongoURI(address))
	if err != nil {
		return mongo.Address{}, err
	}
	return a.In(database)
}
