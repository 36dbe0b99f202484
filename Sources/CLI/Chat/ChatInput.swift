/// What a person enters in a conversation.
package enum ChatInput: Hashable, Sendable {
  case nothing
  case message(String)
  case help
  case reset
  case save(String)
  case load(String)
  case exit
  /// A sentence about a command that makes no sense.
  case mistake(String)

  package static let commands = """
    /reset       forget the conversation, but not the system message
    /save FILE   write the conversation to a file
    /load FILE   go on with a conversation that was saved
    /exit        leave, as Ctrl-D does
    /help        this list
    //text       send a message that begins with a slash

    Ctrl-C stops an answer, or empties the line. Alt-Enter, or a backslash at the end, breaks it.
    Arrow keys move, and bring back what was entered before.
    """

  /// A line that begins with a slash is a command, everything else a message.
  package init(_ text: String) {
    let trimmed = text.trimmingSpaces
    if trimmed.isEmpty {
      self = .nothing
    } else if trimmed.hasPrefix("//") {
      self = .message(String(trimmed.dropFirst()))
    } else if trimmed.hasPrefix("/"), !trimmed.contains("\n") {
      self = Self.command(trimmed)
    } else {
      self = .message(text)
    }
  }

  private static func command(_ text: String) -> ChatInput {
    let word = text.prefix { $0 != " " && $0 != "\t" }
    let argument = text.dropFirst(word.count).trimmingSpaces
    switch (word, argument.isEmpty) {
    case ("/help", true), ("/?", true): return .help
    case ("/reset", true): return .reset
    case ("/exit", true), ("/quit", true): return .exit
    case ("/save", false): return .save(argument)
    case ("/load", false): return .load(argument)
    case ("/save", true), ("/load", true): return .mistake("\(word) needs the name of a file")
    case ("/help", false), ("/reset", false), ("/exit", false), ("/quit", false):
      return .mistake("\(word) stands alone; //… sends a message that begins with a slash")
    default:
      return .mistake(
        "there is no command \(word); /help lists those there are, and //… sends a message that "
          + "begins with a slash")
    }
  }
}

extension StringProtocol {
  fileprivate var trimmingSpaces: String {
    var rest = self[...]
    while rest.first?.isWhitespace == true { rest.removeFirst() }
    while rest.last?.isWhitespace == true { rest.removeLast() }
    return String(rest)
  }
}
