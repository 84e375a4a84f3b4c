package postgres

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"

	"pgp.internal/defender/internal/fault"
)

// noticeColumn stores what was told of a failure as a document; one without a code as NULL.
type noticeColumn fault.Notice

// of is what was told of a code: of one that was stored before that was kept, what the catalogue says.
func (c noticeColumn) of(code string) fault.Notice {
	if code == "" || c.Code == code {
		return fault.Notice(c)
	}
	if _, known := fault.Lookup(code); !known {
		return fault.Notice{Code: code}
	}
	return fault.NoticeOf(fault.New(code, ""))
}

// Value implements [driver.Valuer].
func (c noticeColumn) Value() (driver.Value, error) {
	if c.Code == "" {
		return nil, nil
	}
	body, err := json.Marshal(fault.Notice(c))
	return string(body), err // bytes would be sent as PostgreSQL's binary form
}

// Scan implements [database/sql.Scanner].
func (c *noticeColumn) Scan(src any) error {
	switch body := src.(type) {
	case nil:
		*c = noticeColumn{}
		return nil
	case []byte:
		return json.Unmarshal(body, (*fault.Notice)(c))
	}
	return fmt.Errorf("notice: unexpected %T", src)
}
