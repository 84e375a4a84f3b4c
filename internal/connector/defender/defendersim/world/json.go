package world

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Null as the value of a text stands for a JSON null and Absent for a member that is left out: Microsoft does both.
const (
	Null   = "\x00null"
	Absent = "\x00absent"
)

// appendString writes s as a JSON string. encoding/json is not used because rows are written by the million.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf || (c >= 0x20 && c != '"' && c != '\\') {
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		start = i + 1
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// appendKey writes a member; sep is the byte before it (0 for none).
func appendKey(b []byte, sep byte, key, value string) []byte {
	if value == Absent {
		return b
	}
	b = appendName(b, sep, key)
	if value == Null {
		return append(b, "null"...)
	}
	return appendString(b, value)
}

func appendName(b []byte, sep byte, key string) []byte {
	if sep != 0 {
		b = append(b, sep)
	}
	b = append(b, '"')
	b = append(b, key...)
	return append(b, '"', ':')
}

func appendBool(b []byte, key string, v bool) []byte {
	return strconv.AppendBool(appendName(b, ',', key), v)
}

func appendInt(b []byte, key string, v int) []byte {
	return strconv.AppendInt(appendName(b, ',', key), int64(v), 10)
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendTenths writes a score as Microsoft does: whole numbers carry no decimals.
func appendTenths(b []byte, tenths int) []byte {
	b = strconv.AppendInt(b, int64(tenths/10), 10)
	if tenths%10 != 0 {
		b = append(b, '.', byte('0'+tenths%10))
	}
	return b
}

// iso renders t with the given number of fractional digits; live data shows 0, 1, 2, 3, 6 and 7 of them.
func iso(t time.Time, digits int) string {
	layout := "2006-01-02T15:04:05"
	if digits > 0 {
		layout += "." + "0000000"[:digits]
	}
	return t.UTC().Format(layout + "Z")
}

// blankSeparated renders t the way the export routes do: no T, no zone, UTC meant.
func blankSeparated(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
