import Tensors
import WeightTiles

extension ElementType {
  /// The name of a quantised type where weights lie in tiles.
  var tileType: weight_type? {
    isQuantized ? weight_type(rawValue: numericCast(rawValue)) : nil
  }
}

extension Weight {
  /// Bytes in the layout of this device: floats as in the file, all else in tiles.
  var tileBytes: Int {
    type.tileType.map { weight_tiles_bytes($0, rows, width) } ?? bytes
  }
}
