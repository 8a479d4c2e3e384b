package columnar

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// elements returns the layout as a Parquet schema: depth first, with lists in the specification's
// three levels.
func (l *Layout) elements() []format.SchemaElement {
	count := func(n int) thrift.Null[int32] { return thrift.New(int32(n)) }
	all := []format.SchemaElement{{Name: l.ResourceType, NumChildren: count(len(l.root.Fields))}}
	var add func(f *Field)
	value := func(f *Field, name string, id int, required bool) {
		e := format.SchemaElement{Name: name, FieldID: int32(id), RepetitionType: thrift.New(format.Optional)}
		if required {
			e.RepetitionType = thrift.New(format.Required)
		}
		if f.Type == Struct {
			e.NumChildren = count(len(f.Fields))
		} else {
			e.Type = thrift.New(f.physical())
		}
		switch f.Type {
		case String:
			e.ConvertedType = thrift.New(deprecated.UTF8)
			e.LogicalType.Value = &format.StringType{}
		case Timestamp:
			e.ConvertedType = thrift.New(deprecated.TimestampMicros)
			e.LogicalType.Value = &format.TimestampType{IsAdjustedToUTC: true, Unit: format.TimeUnit{Value: &format.MicroSeconds{}}}
		case Decimal:
			e.ConvertedType = thrift.New(deprecated.Decimal)
			e.TypeLength, e.Scale, e.Precision = count(16), count(decimalScale), count(38)
			e.LogicalType.Value = &format.DecimalType{Scale: decimalScale, Precision: 38}
		}
		all = append(all, e)
		for _, child := range f.Fields {
			add(child)
		}
	}
	add = func(f *Field) {
		if !f.List {
			value(f, f.Name, f.ID, f.Required)
			return
		}
		all = append(all,
			format.SchemaElement{Name: f.Name, FieldID: int32(f.ID), RepetitionType: thrift.New(format.Optional), NumChildren: count(1),
				ConvertedType: thrift.New(deprecated.List), LogicalType: format.LogicalType{Value: &format.ListType{}}},
			format.SchemaElement{Name: "list", RepetitionType: thrift.New(format.Repeated), NumChildren: count(1)})
		value(f, "element", f.ElementID, false)
	}
	for _, f := range l.root.Fields {
		add(f)
	}
	return all
}

// physical returns the Parquet type of a leaf's values.
func (f *Field) physical() format.Type {
	switch f.Type {
	case Boolean:
		return format.Boolean
	case Int:
		return format.Int32
	case Long, Timestamp:
		return format.Int64
	case Decimal:
		return format.FixedLenByteArray
	}
	return format.ByteArray
}

// parquetPath returns the path to a leaf in the Parquet schema.
func (f *Field) parquetPath() []string {
	var path []string
	for ; f.parent != nil; f = f.parent {
		if f.List {
			path = append(path, "element", "list")
		}
		path = append(path, f.Name)
	}
	slices.Reverse(path)
	return path
}

// Text returns the layout's schema in the notation of Parquet's tools, field ids included.
func (l *Layout) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "message %s {\n", l.ResourceType)
	elements := l.elements()[1:]
	var write func(indent string)
	write = func(indent string) {
		e := &elements[0]
		elements = elements[1:]
		for _, s := range []string{indent, repetitionText(e), " ", typeText(e), " ", e.Name} {
			b.WriteString(s)
		}
		if e.LogicalType.Value != nil {
			fmt.Fprintf(&b, " (%v)", e.LogicalType.Value)
		}
		if e.FieldID != 0 {
			b.WriteString(" = " + strconv.Itoa(int(e.FieldID)))
		}
		if !e.NumChildren.Valid {
			b.WriteString(";\n")
			return
		}
		b.WriteString(" {\n")
		for range e.NumChildren.V {
			write(indent + "  ")
		}
		b.WriteString(indent + "}\n")
	}
	for len(elements) > 0 {
		write("  ")
	}
	b.WriteString("}\n")
	return b.String()
}

func repetitionText(e *format.SchemaElement) string {
	switch e.RepetitionType.V {
	case format.Required:
		return "required"
	case format.Repeated:
		return "repeated"
	}
	return "optional"
}

func typeText(e *format.SchemaElement) string {
	if !e.Type.Valid {
		return "group"
	}
	switch e.Type.V {
	case format.Boolean:
		return "boolean"
	case format.Int32:
		return "int32"
	case format.Int64:
		return "int64"
	case format.FixedLenByteArray:
		return "fixed_len_byte_array(16)"
	}
	return "binary"
}

// Hash identifies the layout's columns. It is a SHA-256 in hex, equal for equal layouts.
func (l *Layout) Hash() string { return l.hash() }

func (l *Layout) sum() string {
	sum := sha256.Sum256([]byte(LayoutName + "\n" + l.Text()))
	return hex.EncodeToString(sum[:])
}
