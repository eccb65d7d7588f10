package pytorch

// The instructions that are interpreted, by their names in Python's
// pickletools: those that torch.save emits with pickle protocols 2 to 5. INST,
// OBJ, NEWOBJ, EXT and the text forms of protocol 0 are not among them.
const (
	opMark           = '('
	opStop           = '.'
	opPop            = '0'
	opPopMark        = '1'
	opDup            = '2'
	opBinFloat       = 'G'
	opBinInt         = 'J'
	opBinInt1        = 'K'
	opBinInt2        = 'M'
	opNone           = 'N'
	opBinPersID      = 'Q'
	opReduce         = 'R'
	opBinString      = 'T'
	opShortBinString = 'U'
	opBinUnicode     = 'X'
	opBinBytes       = 'B'
	opShortBinBytes  = 'C'
	opAppend         = 'a'
	opBuild          = 'b'
	opGlobal         = 'c'
	opDict           = 'd'
	opEmptyDict      = '}'
	opAppends        = 'e'
	opBinGet         = 'h'
	opLongBinGet     = 'j'
	opList           = 'l'
	opEmptyList      = ']'
	opBinPut         = 'q'
	opLongBinPut     = 'r'
	opSetItem        = 's'
	opTuple          = 't'
	opEmptyTuple     = ')'
	opSetItems       = 'u'
	opProto          = 0x80
	opTuple1         = 0x85
	opTuple2         = 0x86
	opTuple3         = 0x87
	opTrue           = 0x88
	opFalse          = 0x89
	opLong1          = 0x8a
	opShortUnicode   = 0x8c
	opBinUnicode8    = 0x8d
	opEmptySet       = 0x8f
	opAddItems       = 0x90
	opStackGlobal    = 0x93
	opMemoize        = 0x94
	opFrame          = 0x95
)

// step executes one instruction.
func (m *machine) step(op byte) error {
	switch op {
	case opProto:
		v, err := m.number(1)
		if err == nil && v > 5 {
			return unsupported("data.pkl", "pickle protocol %d, at most 5 is read", v)
		}
		return err
	case opFrame:
		_, err := m.number(8)
		return err
	case opMark:
		m.push(mark{})
	case opNone:
		m.push(nil)
	case opTrue, opFalse:
		m.push(op == opTrue)
	case opEmptyDict:
		m.push(&dict{})
	case opEmptyList, opEmptySet:
		m.push(&list{})
	case opEmptyTuple:
		m.push(tuple(nil))
	case opBinInt, opBinInt1, opBinInt2, opLong1, opBinFloat:
		return m.pushNumber(op)
	case opShortBinString, opShortUnicode, opShortBinBytes:
		return m.pushString(1)
	case opBinString, opBinUnicode, opBinBytes:
		return m.pushString(4)
	case opBinUnicode8:
		return m.pushString(8)
	case opTuple1, opTuple2, opTuple3:
		return m.collect(m.popN(int(op-opTuple1) + 1))
	case opTuple:
		return m.collect(m.popMark())
	case opList, opDict:
		return m.literal(op)
	case opPop, opPopMark, opDup:
		return m.discard(op)
	case opAppend, opSetItem, opAppends, opSetItems, opAddItems:
		return m.addItems(op)
	case opBinPut, opLongBinPut, opBinGet, opLongBinGet, opMemoize:
		return m.memory(op)
	case opGlobal, opStackGlobal:
		return m.global(op)
	case opBinPersID:
		id, err := m.pop()
		if err != nil {
			return err
		}
		return m.storage(id)
	case opReduce, opBuild:
		return m.construct(op)
	default:
		return unsupported("data.pkl", "byte %d: instruction %#02x is not one that torch.save needs", m.pos-1, op)
	}
	return nil
}

func (m *machine) pushNumber(op byte) error {
	switch op {
	case opLong1:
		b, err := m.counted(1)
		if err == nil {
			m.push(long(b))
		}
		return err
	case opBinFloat:
		b, err := m.take(8)
		if err == nil {
			m.push(float(b))
		}
		return err
	}
	width := map[byte]uint64{opBinInt: 4, opBinInt1: 1, opBinInt2: 2}[op]
	v, err := m.number(width)
	if op == opBinInt {
		v = uint64(int32(v))
	}
	m.push(int64(v))
	return err
}

// pushString pushes a string behind a length of n bytes. Strings of bytes occur
// in what is not looked into only, and need no type of their own.
func (m *machine) pushString(n uint64) error {
	b, err := m.counted(n)
	if err == nil {
		m.push(string(b))
	}
	return err
}

func (m *machine) collect(items []any, err error) error {
	m.push(tuple(items))
	return err
}

// literal builds a list or dictionary of everything above the mark.
func (m *machine) literal(op byte) error {
	items, err := m.popMark()
	if err != nil {
		return err
	}
	var v any = &list{}
	if op == opDict {
		v = &dict{}
	}
	m.push(v)
	return m.add(v, items)
}

func (m *machine) discard(op byte) error {
	switch op {
	case opPopMark:
		_, err := m.popMark()
		return err
	case opDup:
		v, err := m.top()
		m.push(v)
		return err
	}
	if len(m.stack) == 0 {
		return m.fail("nothing on the stack")
	}
	m.stack = m.stack[:len(m.stack)-1] // which may be a mark
	return nil
}

func (m *machine) addItems(op byte) error {
	var items []any
	var err error
	switch op {
	case opAppend:
		items, err = m.popN(1)
	case opSetItem:
		items, err = m.popN(2)
	default:
		items, err = m.popMark()
	}
	if err != nil {
		return err
	}
	target, err := m.top()
	if err != nil {
		return err
	}
	return m.add(target, items)
}

func (m *machine) memory(op byte) error {
	key, err := uint64(len(m.memo)), error(nil)
	switch op {
	case opBinPut, opBinGet:
		key, err = m.number(1)
	case opLongBinPut, opLongBinGet:
		key, err = m.number(4)
	}
	if err != nil {
		return err
	}
	if op == opBinGet || op == opLongBinGet {
		return m.get(key)
	}
	return m.put(key)
}

func (m *machine) global(op byte) error {
	if op == opGlobal {
		module, err := m.line()
		if err != nil {
			return err
		}
		name, err := m.line()
		if err != nil {
			return err
		}
		return m.class(module, name)
	}
	names, err := m.popN(2)
	if err != nil {
		return err
	}
	module, isString := names[0].(string)
	name, areStrings := names[1].(string)
	if !isString || !areStrings {
		return m.fail("a class whose name is no string")
	}
	return m.class(module, name)
}

// construct calls a known function, or gives a value its state: a dictionary's
// (PyTorch notes versions of modules there) and an inert value's are dropped.
func (m *machine) construct(op byte) error {
	pair, err := m.popN(2)
	if err != nil {
		return err
	}
	target, args := pair[0], pair[1]
	if op == opReduce {
		if target, err = m.reduce(target, args); err != nil {
			return err
		}
	} else if _, isDict := target.(*dict); !isDict && target != (opaque{}) {
		return m.fail("sets the state of %s", kind(target))
	}
	m.push(target)
	return nil
}
