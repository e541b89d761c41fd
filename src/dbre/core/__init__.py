"""What every act of dbre shares; knows no engine and no capability."""
