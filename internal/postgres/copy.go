package postgres

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unsafe"

	"github.com/jmoiron/sqlx"
)

// copyChunk is how much text is handed to the driver at once: its own buffer is 64 KiB, and sending row by row costs a
// quarter of the speed.
const copyChunk = 60 << 10

// copyWriter builds rows of COPY text format and sends them in chunks. Fields are appended in column order, each row is
// closed with end.
type copyWriter struct {
	ctx   context.Context
	send  func(context.Context, string) (driver.Result, error)
	buf   []byte
	first bool
	err   error
}

// copyRows runs one COPY into the given table and columns inside its own transaction on conn.
func copyRows(ctx context.Context, conn *sqlx.Conn, target string, write func(*copyWriter)) error {
	if _, err := conn.ExecContext(ctx, "begin"); err != nil {
		return err
	}
	err := copyInside(ctx, conn, "copy "+target+" from stdin", write)
	if err != nil {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "rollback") // the first error is the one that tells
		return err
	}
	_, err = conn.ExecContext(ctx, "commit")
	return err
}

// copyInside runs one COPY in the transaction that is open on conn. Its error goes past database/sql: told of a bad connection,
// Raw would close conn, and for that wait for the end of the transaction, which is the caller's to end.
func copyInside(ctx context.Context, conn *sqlx.Conn, statement string, write func(*copyWriter)) error {
	var failed error
	err := conn.Raw(func(raw any) error {
		failed = copyRaw(ctx, raw, statement, write)
		return nil
	})
	return errors.Join(err, failed)
}

func copyRaw(ctx context.Context, raw any, statement string, write func(*copyWriter)) error {
	preparer, ok := raw.(driver.ConnPrepareContext)
	if !ok {
		return fmt.Errorf("driver connection %T cannot prepare", raw)
	}
	stmt, err := preparer.PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	sender, ok := stmt.(interface {
		CopyData(context.Context, string) (driver.Result, error)
	})
	if !ok {
		return fmt.Errorf("driver statement %T is no COPY", stmt)
	}
	w := &copyWriter{ctx: ctx, send: sender.CopyData, buf: make([]byte, 0, copyChunk+4<<10), first: true}
	write(w)
	w.flush()
	if w.err != nil {
		_ = stmt.Close()
		return w.err
	}
	// Exec without arguments ends the stream and tells what the server thought of it.
	//lint:ignore SA1019 the driver's COPY statement offers no other way
	if _, err := stmt.Exec(nil); err != nil {
		_ = stmt.Close()
		return err
	}
	return stmt.Close()
}

func (w *copyWriter) sep() {
	if w.first {
		w.first = false
		return
	}
	w.buf = append(w.buf, '\t')
}

// end closes a row.
func (w *copyWriter) end() {
	w.buf = append(w.buf, '\n')
	w.first = true
	if len(w.buf) >= copyChunk {
		w.flush()
	}
}

func (w *copyWriter) flush() {
	if len(w.buf) == 0 || w.err != nil {
		w.buf = w.buf[:0]
		return
	}
	chunk := w.buf[:len(w.buf)-1] // the driver adds the last line feed itself
	// The driver copies the text before it returns, so the bytes may be lent to it as a string.
	_, w.err = w.send(w.ctx, unsafe.String(unsafe.SliceData(chunk), len(chunk))) // #nosec G103 -- not written to again before it was sent
	w.buf = w.buf[:0]
}

func (w *copyWriter) null() {
	w.sep()
	w.buf = append(w.buf, '\\', 'N')
}

func (w *copyWriter) int(v int64) {
	w.sep()
	w.buf = strconv.AppendInt(w.buf, v, 10)
}

func (w *copyWriter) text(v string) {
	w.sep()
	w.buf = appendCopyText(w.buf, v)
}

func (w *copyWriter) bool(v bool) {
	w.sep()
	if v {
		w.buf = append(w.buf, 't')
	} else {
		w.buf = append(w.buf, 'f')
	}
}

func (w *copyWriter) optionalBool(v *bool) {
	if v == nil {
		w.null()
		return
	}
	w.bool(*v)
}

// time writes the zero time as NULL.
func (w *copyWriter) time(v time.Time) {
	if v.IsZero() {
		w.null()
		return
	}
	w.sep()
	w.buf = v.UTC().AppendFormat(w.buf, "2006-01-02 15:04:05.999999Z07:00")
}

func (w *copyWriter) bytes(v []byte) {
	w.sep()
	w.buf = append(w.buf, '\\', '\\', 'x')
	w.buf = hex.AppendEncode(w.buf, v)
}

// strings writes a text[]: every element quoted, so that commas, braces and the word NULL are plain text.
func (w *copyWriter) strings(v []string) {
	w.sep()
	w.buf = append(w.buf, '{')
	for i, s := range v {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = append(w.buf, '"')
		for j := range len(s) {
			if c := s[j]; c == '"' || c == '\\' {
				w.buf = append(w.buf, '\\', '\\') // one backslash for the array, itself escaped for COPY
				if c == '\\' {
					w.buf = append(w.buf, '\\', '\\')
					continue
				}
			}
			w.buf = appendCopyByte(w.buf, s[j])
		}
		w.buf = append(w.buf, '"')
	}
	w.buf = append(w.buf, '}')
}

// numbersField writes an array of whole numbers.
func numbersField[N int32 | int64](w *copyWriter, v []N) {
	w.sep()
	w.buf = append(w.buf, '{')
	for i, n := range v {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = strconv.AppendInt(w.buf, int64(n), 10)
	}
	w.buf = append(w.buf, '}')
}

func appendCopyText(buf []byte, s string) []byte {
	for i := range len(s) {
		buf = appendCopyByte(buf, s[i])
	}
	return buf
}

func appendCopyByte(buf []byte, c byte) []byte {
	switch c {
	case '\\':
		return append(buf, '\\', '\\')
	case '\n':
		return append(buf, '\\', 'n')
	case '\r':
		return append(buf, '\\', 'r')
	case '\t':
		return append(buf, '\\', 't')
	}
	return append(buf, c)
}
