package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// maxStatements bounds how many prepared statements a session keeps. The shapes
// of searches are few, but a caller may make many.
const maxStatements = 256

// A session is one connection with its prepared statements. It is used by one
// goroutine at a time.
type session struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func newSession(conn *sql.Conn) *session {
	return &session{conn: conn, stmts: map[string]*sql.Stmt{}}
}

func (s *session) close() error {
	for _, stmt := range s.stmts {
		_ = stmt.Close()
	}
	return s.conn.Close()
}

func (s *session) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := s.stmts[query]; ok {
		return stmt, nil
	}
	if len(s.stmts) >= maxStatements {
		for _, stmt := range s.stmts {
			_ = stmt.Close()
		}
		clear(s.stmts)
	}
	stmt, err := s.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.stmts[query] = stmt
	return stmt, nil
}

func (s *session) exec(ctx context.Context, query string, args ...any) error {
	_, err := s.change(ctx, query, args...)
	return err
}

// change returns the number of rows changed.
func (s *session) change(ctx context.Context, query string, args ...any) (int64, error) {
	stmt, err := s.prepare(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// insert returns the new row's number.
func (s *session) insert(ctx context.Context, query string, args ...any) (int64, error) {
	stmt, err := s.prepare(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// one reads the first row into dest; found is false if there is none.
func (s *session) one(ctx context.Context, query string, args []any, dest ...any) (found bool, err error) {
	stmt, err := s.prepare(ctx, query)
	if err != nil {
		return false, err
	}
	err = scanned(query, stmt.QueryRowContext(ctx, args...).Scan(dest...))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// each calls f for every row; f scans it.
func (s *session) each(ctx context.Context, query string, args []any, f func(scan func(...any) error) error) (err error) {
	stmt, err := s.prepare(ctx, query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := rows.Close(); err == nil {
			err = cerr
		}
	}()
	scan := func(dest ...any) error { return scanned(query, rows.Scan(dest...)) }
	for rows.Next() {
		if err := f(scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// A pool lends sessions, the one used last first: its pages are still in memory, and
// each session has pages of its own.
type pool struct {
	free chan struct{} // one for each session that is idle
	mu   sync.Mutex
	idle []*session
}

func newPool(size int) *pool { return &pool{free: make(chan struct{}, size)} }

// take gives a session to who has received from free.
func (p *pool) take() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	s := p.idle[last]
	p.idle = p.idle[:last]
	return s
}

func (p *pool) give(s *session) {
	p.mu.Lock()
	p.idle = append(p.idle, s)
	p.mu.Unlock()
	p.free <- struct{}{} // never blocks: it holds them all
}

// close waits for the sessions that are lent, and closes all.
func (p *pool) close() {
	for range cap(p.free) {
		<-p.free
		_ = p.take().close()
	}
}
