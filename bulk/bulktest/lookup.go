package bulktest

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// decoder reads a value leniently, as a test server should: a folder's content is served, not
// judged.
func decoder(v []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(v), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// eachMember visits an object's members. The values are valid until visit returns. Anything
// after the object is an error.
func eachMember(object []byte, visit func(name string, v jsontext.Value) error) error {
	d := decoder(object)
	if d.PeekKind() != '{' {
		return errors.New("not a JSON object")
	}
	_, err := d.ReadToken()
	for err == nil && d.PeekKind() != '}' {
		var name jsontext.Token
		if name, err = d.ReadToken(); err != nil {
			break
		}
		key := name.String() // before the next read invalidates name
		var v jsontext.Value
		if v, err = d.ReadValue(); err == nil {
			err = visit(key, v)
		}
	}
	if err != nil {
		return err
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

// lookup visits the values at a path of names. Arrays along the path and at its end stand for
// each of their items. It is not an error if there is no value.
func lookup(v []byte, path []string, visit func(jsontext.Value) error) error {
	switch kind := jsontext.Value(v).Kind(); {
	case kind == '[':
		d := decoder(v)
		_, err := d.ReadToken()
		for err == nil && d.PeekKind() != ']' {
			var item jsontext.Value
			if item, err = d.ReadValue(); err == nil {
				err = lookup(item, path, visit)
			}
		}
		return err
	case len(path) == 0:
		return visit(v)
	case kind != '{':
		return nil
	}
	return eachMember(v, func(name string, v jsontext.Value) error {
		if name != path[0] {
			return nil
		}
		return lookup(v, path[1:], visit)
	})
}

// anyText reports whether any string at a dotted path of a line is wanted.
func anyText(line []byte, path string, wanted func(string) bool) (found bool, err error) {
	err = lookup(line, strings.Split(path, "."), func(v jsontext.Value) error {
		found = found || wanted(text(v))
		return nil
	})
	return found, err
}

// text returns a JSON string's text, or "" for any other value.
func text(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	token, err := decoder(v).ReadToken()
	if err != nil {
		return ""
	}
	return token.String()
}
