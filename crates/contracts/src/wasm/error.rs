//! Why a module is refused.

/// What is wrong with a module. Offsets count bytes from the module's start. The words stand in receipts, so they are the
/// same on every node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// It isn't a module in the binary format, or not a valid one.
    #[error("at offset {offset}: {message}")]
    Invalid {
        /// Where.
        offset: usize,
        /// What is wrong there.
        message: String,
    },
    /// An instruction that no contract may use.
    #[error("the instruction {instruction} at offset {offset} isn't supported")]
    Instruction {
        /// Its name in the text format.
        instruction: String,
        /// Where.
        offset: usize,
    },
    /// Something else that no contract may use.
    #[error("{what} at offset {offset} isn't supported")]
    Unsupported {
        /// What it is.
        what: String,
        /// Where.
        offset: usize,
    },
    /// Something is larger, or there are more, than allowed.
    #[error("{what} of {found} is over the limit of {limit}, at offset {offset}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// How large it may be.
        limit: u64,
        /// Where.
        offset: usize,
    },
    /// A function has more of something than allowed.
    #[error("{what} of function {function} come to {found}, which is over the limit of {limit}")]
    Function {
        /// The function's index, imported ones counted.
        function: u64,
        /// What it has too much of.
        what: &'static str,
        /// How much.
        found: u64,
        /// How much it may have.
        limit: u64,
    },
    /// It asks for something that no host gives.
    #[error("the import `{module}` `{name}` isn't known")]
    UnknownImport {
        /// The import's module.
        module: String,
        /// The import's name.
        name: String,
    },
    /// An import with another type than the host's.
    #[error("the import `{name}` has another type than the host's")]
    ImportType {
        /// The import's name.
        name: String,
    },
    /// An export with a name that isn't for contracts.
    #[error("the export name `{name}` is reserved")]
    ReservedExport {
        /// The name.
        name: String,
    },
    /// A method that takes or gives values.
    #[error("the export `{name}` must be a function without parameters and results")]
    MethodType {
        /// The export's name.
        name: String,
    },
    /// A segment that doesn't fit in where it is put.
    #[error("the segment at offset {offset} doesn't fit in its {place}")]
    Segment {
        /// Where it stands in the module.
        offset: usize,
        /// Memory or table.
        place: &'static str,
    },
}

impl From<wasmparser::BinaryReaderError> for ModuleError {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        ModuleError::Invalid { offset: error.offset(), message: error.message().to_owned() }
    }
}

/// Checks a size or count against a limit.
pub(super) fn within(what: &'static str, found: u64, limit: u64, offset: usize) -> Result<(), ModuleError> {
    if found > limit { Err(ModuleError::Limit { what, found, limit, offset }) } else { Ok(()) }
}
