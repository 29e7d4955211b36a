class Type: ...

class Record(Type):
    @classmethod
    def make_c_struct(cls, name_types: list[tuple[str, Type]]) -> Record: ...

class Integer(Type): ...

voidptr: Type
intp: Integer
uintp: Integer
int64: Integer
