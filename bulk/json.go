package bulk

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// What servers send is read value by value: an array of empty objects, decoded at once, takes
// a hundred times its size in memory.

func newDecoder(r io.Reader) *jsontext.Decoder {
	return jsontext.NewDecoder(r, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// eachMember visits the members of d's only value, an object. visit reads each member's value.
func eachMember(d *jsontext.Decoder, visit func(name string) error) error {
	if t, err := d.ReadToken(); err != nil {
		return err
	} else if t.Kind() != '{' {
		return errors.New("it is not a JSON object")
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := visit(name.String()); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil { // the closing brace
		return err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return cmp.Or(err, errors.New("there is more data after it"))
	}
	return nil
}

// eachElement visits the elements of an array; null counts as an empty array.
func eachElement(d *jsontext.Decoder, visit func(jsontext.Value) error) error {
	switch t, err := d.ReadToken(); {
	case err != nil:
		return err
	case t.Kind() == 'n':
		return nil
	case t.Kind() != '[':
		return errors.New("expected a list")
	}
	for d.PeekKind() != ']' {
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		if err := visit(v); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// readText reads a string. Any other value counts as absent.
func readText(d *jsontext.Decoder) (string, error) {
	v, err := d.ReadValue()
	var s string
	if err == nil && v.Kind() == '"' {
		err = json.Unmarshal(v, &s)
	}
	return s, err
}

// plainJSON returns a decoder for a body in memory.
func plainJSON(body []byte) *jsontext.Decoder {
	return newDecoder(bytes.NewBuffer(bytes.TrimPrefix(body, []byte(utf8BOM))))
}
