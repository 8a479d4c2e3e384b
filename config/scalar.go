package config

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// set parses text into v and checks it against the tags. Messages put the error after the text,
// in one sentence.
func set(v reflect.Value, text string, f field) error {
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		duration, err := ParseDuration(text)
		*p = duration
		switch {
		case err != nil:
			return err
		case duration < f.shortest:
			return errors.New("is too short")
		case duration > f.longest:
			return errors.New("is too long")
		}
		return nil
	case *time.Time:
		instant, err := parseInstant(text)
		*p = instant
		return err
	case *bool:
		switch text { // as YAML 1.2 spells them
		case "true", "True", "TRUE":
			*p = true
		case "false", "False", "FALSE":
			*p = false
		default:
			return errors.New("is not a boolean")
		}
		return nil
	case *int:
		n, err := strconv.Atoi(text)
		*p = n
		switch {
		case err != nil:
			return errors.New("is not a whole number")
		case n < f.min || n > f.max:
			return errors.New("is out of range")
		}
		return nil
	}
	if len(f.enum) > 0 && !slices.Contains(f.enum, text) {
		return errors.New("is not valid")
	}
	if f.pattern != nil && !f.pattern.MatchString(text) {
		return errors.New("is not valid")
	}
	v.SetString(text)
	return nil
}

// longestDuration is a year. Anything longer is a mistake.
const longestDuration = 366 * 24 * time.Hour

// ParseDuration is [time.ParseDuration] with days, as in 30d and 1d12h. A day has 24 hours.
// Negative durations are errors. A duration far above [longestDuration] comes out as some
// duration above it.
func ParseDuration(text string) (time.Duration, error) {
	var total time.Duration
	rest := text
	if days, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 10)
		if err != nil {
			return 0, errors.New("is not a duration")
		}
		total, rest = time.Duration(n)*24*time.Hour, after
	}
	if rest != "" {
		part, err := time.ParseDuration(rest)
		if err != nil || part < 0 {
			return 0, errors.New("is not a duration")
		}
		total += min(part, longestDuration+1)
	}
	return total, nil
}

// parseInstant parses an RFC 3339 instant, or a date, which means its start in UTC.
func parseInstant(text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, nil
	}
	var instant time.Time
	// Unlike time.Parse, UnmarshalText follows RFC 3339 strictly.
	if err := instant.UnmarshalText([]byte(text)); err != nil {
		return time.Time{}, errors.New("is not an instant")
	}
	return instant, nil
}

// maxName is the maximum length of a name. Names become parts of folder names.
const maxName = 100

// isName reports whether s matches [a-z][a-z0-9-]* and has at most maxName bytes, which makes it
// safe in paths and logs.
func isName(s string) bool {
	for i, c := range []byte(s) {
		lower := 'a' <= c && c <= 'z'
		if !lower && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}
